#include "base/direct_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> random_bytes(size_t count) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// The program of the xxHash project, an independent witness.
std::string xxh128sum(const fs::path& path) {
  const std::string command = "xxh128sum '" + path.string() + "' 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::array<char, 64> line{};
  if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return "";
  return std::string(line.data(), Checksum::kHexDigits);
}

class DirectFile : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  DirectBlocks blocks_;
};

TEST_F(DirectFile, WritesAndReadsEverySizeWithTheChecksumOfXxh128sum) {
  constexpr size_t kBlock = DirectBlocks::kBlockBytes;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, kBlock - 1, kBlock, kBlock + 1,
                            2 * kBlock, 3 * kBlock + 4095, 5 * kBlock + 17}) {
    const std::vector<std::byte> content = random_bytes(size);
    const fs::path path = folder_.path() / "file";
    DirectWriter writer(path, blocks_);
    size_t at = 0;
    for (size_t count = 1; at < size; count = count * 3 + 1) {  // in parts of all sizes
      const size_t part = std::min(count, size - at);
      writer.write(std::span(content).subspan(at, part));
      at += part;
    }
    EXPECT_EQ(writer.written_bytes(), size);
    const std::string checksum = writer.finish();
    ASSERT_EQ(fs::file_size(path), size);
    EXPECT_EQ(checksum, xxh128sum(path));

    std::vector<std::byte> read;
    EXPECT_EQ(read_direct(path, blocks_,
                          [&](std::span<const std::byte> bytes) {
                            read.insert(read.end(), bytes.begin(), bytes.end());
                          }),
              checksum);
    EXPECT_EQ(read, content);
  }
}

// Parts in place and copied ones in turn: at places of the file and of memory that agree and that
// do not, of sizes that are worth a write of their own and of such that are not.
TEST_F(DirectFile, WritesInPlaceWhatLiesWhereTheFileHasIt) {
  constexpr size_t kBlock = DirectBlocks::kBlockBytes, kSector = kDirectAlignment;
  const PageBuffer memory(4 * kBlock, "what is written in place");
  const std::vector<std::byte> random = random_bytes(memory.size_bytes());
  std::ranges::copy(random, memory.data());
  struct Part {
    size_t from;  // in memory
    size_t size;
    bool in_place;
  };
  const std::vector<std::vector<Part>> files = {
      {{0, 2 * kBlock, true}},
      {{0, kSector, false}, {kBlock, 2 * kBlock + 100, true}, {5, 7, false}},
      {{0, 100, false}, {kSector + 100, kBlock + 3, true}, {103, kBlock, true}},
      {{0, kBlock - 1, false}, {kSector - 1, kBlock, true}, {0, kBlock / 2, false}},
      {{0, 100, false}, {64, 2 * kBlock, true}, {0, kBlock, true}},
      {{0, kSector, true}, {kSector, kBlock / 2, true}, {0, kBlock - kSector, false}},
  };
  for (const std::vector<Part>& parts : files) {
    std::vector<std::byte> content;
    const fs::path path = folder_.path() / "file";
    DirectWriter writer(path, blocks_);
    for (const Part& part : parts) {
      const std::span bytes(memory.data() + part.from, part.size);
      part.in_place ? writer.write_in_place(bytes) : writer.write(bytes);
      content.insert(content.end(), bytes.begin(), bytes.end());
    }
    EXPECT_EQ(writer.written_bytes(), content.size());
    const std::string checksum = writer.finish();
    EXPECT_EQ(checksum, xxh128sum(path));
    EXPECT_EQ(read_text_file(path),
              std::string(reinterpret_cast<const char*>(content.data()), content.size()));
  }
}

TEST_F(DirectFile, CopiesNothingOfWhatIsWrittenInPlace) {
  constexpr size_t kBlock = DirectBlocks::kBlockBytes;
  const PageBuffer memory(2 * kBlock, "what is written in place");
  std::ranges::fill(std::span(memory.data(), memory.size_bytes()), std::byte{7});
  DirectWriter writer(folder_.path() / "file", blocks_);
  writer.write_in_place({memory.data(), memory.size_bytes()});
  writer.finish();
  for (size_t i = 0; i < DirectBlocks::kCount; ++i) {
    EXPECT_EQ(std::ranges::count(std::span(blocks_.block(i), kBlock), std::byte{7}), 0) << i;
  }
}

TEST_F(DirectFile, NamesTheFileThatCannotBeWrittenOrRead) {
  const auto ignore = [](std::span<const std::byte>) {};
  EXPECT_ERROR(DirectWriter(folder_.path() / "none" / "file", blocks_), ErrorKind::kFile,
               "none/file");
  EXPECT_ERROR(read_direct(folder_.path() / "absent", blocks_, ignore), ErrorKind::kFile, "absent");
  EXPECT_ERROR(read_direct(folder_.path(), blocks_, ignore), ErrorKind::kFile,
               folder_.path().string());
}

TEST_F(DirectFile, ReportsAFullDisk) {
  const std::vector<std::byte> content = random_bytes(3 * DirectBlocks::kBlockBytes);
  EXPECT_ERROR(
      {
        DirectWriter writer("/dev/full", blocks_);
        writer.write(content);
        writer.finish();
      },
      ErrorKind::kFile, "/dev/full");
}

}  // namespace
}  // namespace borealis
