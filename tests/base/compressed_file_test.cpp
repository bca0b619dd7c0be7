#include "base/compressed_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/compress.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;

class CompressedFileTest : public ::testing::Test {
 protected:
  std::string unpack(const std::string& bytes, size_t step = 1000) {
    const auto path = folder_.path() / "packed";
    write_file_atomically(path, bytes);
    const auto file = std::make_shared<const MappedFile>(path);
    UnpackingReader reader(file, compression_of(file->bytes()));
    std::string text;
    std::string block(step, '\0');
    while (const size_t count = reader.read(block)) text.append(block, 0, count);
    EXPECT_EQ(reader.consumed_bytes(), static_cast<int64_t>(bytes.size()) - padding_);
    return text;
  }
  std::string refusal(const std::string& bytes) {
    try {
      unpack(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      return error.what();
    }
    return "no error";
  }
  TemporaryFolder folder_;
  int64_t padding_ = 0;
};

std::string some_text() {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += std::to_string(i * 7919) + (i % 3 == 0 ? "\n" : " ");
  return text;
}

TEST(CompressionOf, GoesByTheFirstBytes) {
  const auto of = [](std::string_view text) {
    return compression_of(std::as_bytes(std::span(text)));
  };
  EXPECT_EQ(of(gzip_bytes("x")), Compression::kGzip);
  EXPECT_EQ(of(zstd_bytes("x")), Compression::kZstd);
  EXPECT_EQ(of(std::string_view("\x5a\x2a\x4d\x18\0\0\0\0", 8)), Compression::kZstd);
  EXPECT_EQ(of(""), Compression::kNone);
  EXPECT_EQ(of("\x1f"), Compression::kNone);
  EXPECT_EQ(of("{\"text\": 1}"), Compression::kNone);
}

TEST_F(CompressedFileTest, UnpacksMembersAndFramesOneAfterTheOther) {
  const std::string text = some_text();
  for (const size_t step : {size_t{1}, size_t{1000}, text.size(), 3 * text.size()}) {
    EXPECT_EQ(unpack(gzip_bytes(text), step), text);
    EXPECT_EQ(unpack(zstd_bytes(text), step), text);
  }
  EXPECT_EQ(unpack(gzip_bytes(text) + gzip_bytes("") + gzip_bytes("end")), text + "end");
  const std::string skippable("\x53\x2a\x4d\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(unpack(skippable + zstd_bytes(text) + skippable + zstd_bytes("") + zstd_bytes("end")),
            text + "end");
  padding_ = 100;
  EXPECT_EQ(unpack(gzip_bytes("a") + std::string(100, '\0')), "a");
}

TEST_F(CompressedFileTest, NamesTruncation) {
  for (const std::string& packed : {gzip_bytes(some_text()), zstd_bytes(some_text())}) {
    for (const size_t size : {packed.size() - 1, packed.size() - 5, packed.size() / 2, size_t{5}}) {
      EXPECT_THAT(refusal(packed.substr(0, size)), HasSubstr("packed is truncated: it ends after"))
          << size;
    }
    EXPECT_THAT(refusal(packed + packed.substr(0, 40)), HasSubstr("is truncated"));
  }
}

TEST_F(CompressedFileTest, NamesDamage) {
  std::string damaged = gzip_bytes(some_text());
  damaged[damaged.size() - 6] ^= 1;  // of the checksum
  EXPECT_THAT(refusal(damaged), HasSubstr("its gzip data is wrong"));
  damaged = zstd_bytes(some_text());
  damaged[damaged.size() / 2] ^= 0x40;
  EXPECT_THAT(refusal(damaged), HasSubstr("its zstd data is wrong"));
  EXPECT_THAT(refusal(gzip_bytes("a") + "more"), HasSubstr("something else follows"));
  EXPECT_THAT(refusal(zstd_bytes("a") + "more"), HasSubstr("its zstd data is wrong"));
}

}  // namespace
}  // namespace borealis
