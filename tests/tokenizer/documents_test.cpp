#include "tokenizer/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DocumentFilesTest : public testing::Test {
 protected:
  DocumentFilesTest() { borealis::create_directories(folder_); }
  ~DocumentFilesTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path write(const std::string& name, const std::string& text) {
    write_file_atomically(folder_ / name, text);
    return folder_ / name;
  }
  static std::vector<std::string> read(const DocumentFiles& files) {
    std::vector<std::string> documents;
    for (int64_t slice = 0; slice < files.slice_count(); ++slice) {
      files.read_slice(slice, [&](std::string_view text) { documents.emplace_back(text); });
    }
    return documents;
  }
  std::vector<std::string> read(const std::string& name, const std::string& text,
                                TextFormat format = TextFormat::kAuto,
                                const std::string& key = "text") {
    return read(DocumentFiles({write(name, text)}, format, key));
  }
  std::string refusal(const std::string& name, const std::string& text) {
    try {
      read(name, text);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("borealis-documents-" + std::to_string(::getpid()));
};

TEST_F(DocumentFilesTest, ATextFileIsADocument) {
  EXPECT_THAT(read("a.txt", "one\ntwo\n"), ElementsAre("one\ntwo\n"));
  EXPECT_THAT(read("a.txt", ""), ElementsAre());
  EXPECT_THAT(read("a.jsonl", "{\"text\": 1}", TextFormat::kText), ElementsAre("{\"text\": 1}"));
}

TEST_F(DocumentFilesTest, ALineOfJsonIsADocument) {
  const std::string lines =
      "{\"text\": \"a\\n\\u00e9\"}\r\n\n  \n{\"x\": 1, \"text\": \"\"}\n{\"text\": \"c\"}";
  EXPECT_THAT(read("a.jsonl", lines), ElementsAre("a\n\u00e9", "", "c"));
  EXPECT_THAT(read("a.txt", lines, TextFormat::kJsonLines), ElementsAre("a\n\u00e9", "", "c"));
  EXPECT_THAT(read("a.ndjson", "{\"body\": \"b\"}\n", TextFormat::kAuto, "body"), ElementsAre("b"));
}

TEST_F(DocumentFilesTest, SlicesHoldEveryLineOnce) {
  std::string lines;
  std::vector<std::string> expected;
  for (int i = 0; i < 500; ++i) {
    // From lines much shorter than a slice to some that are longer than three of them.
    const size_t length =
        i % 100 == 7 ? (3 << 20) + static_cast<size_t>(i) : static_cast<size_t>(i) * 31;
    expected.push_back(std::to_string(i) + std::string(length, 'x'));
    lines += "{\"text\": \"" + expected.back() + "\"}\n";
  }
  const DocumentFiles files({write("a.jsonl", lines)}, TextFormat::kAuto, "text");
  EXPECT_GT(files.slice_count(), 10);
  EXPECT_EQ(files.total_bytes(), static_cast<int64_t>(lines.size()));
  EXPECT_EQ(read(files), expected);
}

TEST_F(DocumentFilesTest, NamesFileAndLineOfAnError) {
  const std::string good(1 << 19, ' ');
  const std::string start = "{\"text\": \"" + good + "\"}\n{\"text\": \"" + good + "\"}\n\n";
  EXPECT_THAT(refusal("bad.jsonl", start + "{\"text\": }\n"), HasSubstr("bad.jsonl:4: not JSON:"));
  EXPECT_THAT(refusal("bad.jsonl", "[1]\n"), HasSubstr("bad.jsonl:1: not a JSON object"));
  EXPECT_THAT(refusal("bad.jsonl", "{\"txt\": \"a\"}\n"),
              HasSubstr("bad.jsonl:1: no key \"text\""));
  EXPECT_THAT(refusal("bad.jsonl", "{\"text\": 1}\n"),
              HasSubstr("bad.jsonl:1: the value of \"text\""));
  EXPECT_THAT(refusal("bad.jsonl", "{\"text\": \"\xff\"}\n"), HasSubstr("bad.jsonl:1: not JSON:"));
}

TEST_F(DocumentFilesTest, RefusesWhatIsNoTextFile) {
  EXPECT_THAT(refusal("a.jsonl.gz", "\x1f\x8b\x08"), HasSubstr("is compressed with gzip"));
  EXPECT_THROW(DocumentFiles({folder_}, TextFormat::kAuto, "text"), Error);
  EXPECT_THROW(DocumentFiles({folder_ / "none"}, TextFormat::kAuto, "text"), Error);
}

TEST(ForSlicesInOrder, ConsumesInOrder) {
  std::vector<int64_t> order;
  for_slices_in_order(
      200, 4, [](int64_t slice) { return slice * slice; },
      [&](int64_t slice, int64_t square) {
        EXPECT_EQ(square, slice * slice);
        order.push_back(slice);
      });
  EXPECT_EQ(order.size(), 200u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(ForSlicesInOrder, ThrowsTheFirstFailure) {
  std::atomic<int> consumed = 0;
  const auto fail_from = [](int64_t first) {
    return [first](int64_t slice) {
      if (slice >= first) throw std::runtime_error(std::to_string(slice));
      return true;
    };
  };
  try {
    for_slices_in_order(300, 4, fail_from(17), [&](int64_t, bool) { ++consumed; });
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "17");
  }
  EXPECT_EQ(consumed, 17);
  EXPECT_THROW(for_slices_in_order(
                   10, 2, [](int64_t) { return true; },
                   [](int64_t slice, bool) {
                     if (slice == 3) throw std::runtime_error("consume");
                   }),
               std::runtime_error);
}

}  // namespace
}  // namespace borealis
