#include "checkpoint/checksums.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

const std::string kSum = "0123456789abcdef0123456789abcdef";

TEST(Checksums, TextAndBack) {
  const FileChecksums checksums = {{"config.json", kSum}, {"state/state.json", kSum}};
  const std::string text = checksums_text(checksums);
  EXPECT_EQ(text, kSum + "  config.json\n" + kSum + "  state/state.json\n");
  EXPECT_EQ(parse_checksums(text, "f"), checksums);
}

TEST(Checksums, RefusesWhatIsNotALineOfItsForm) {
  const auto rejects = [](const std::string& text, const std::string& what) {
    EXPECT_ERROR(parse_checksums(text, "dir/checksums.xxh128"), ErrorKind::kData,
                 "dir/checksums.xxh128", what);
  };
  rejects("", "names no file");
  rejects(kSum + "  a", "line 1 is cut off");
  rejects(kSum + "  a\n" + kSum + "  a\n", "names a twice");
  for (const std::string name :
       {"", "/etc/passwd", "../a", "a/../../b", "a/", "./a", "a//b", "."}) {
    rejects(fmt::format("{0}  a\n{0}  {1}\n", kSum, name), "line 2 is not a checksum");
  }
  rejects(fmt::format("{}  {}\n", kSum, std::string_view("a\0b", 3)), "line 1 is not a checksum");
  rejects(fmt::format("{}  a\n", kSum.substr(1)), "line 1 is not a checksum");
  rejects(fmt::format("X{}  a\n", kSum.substr(1)), "line 1 is not a checksum");
  rejects(kSum + " a\n", "line 1 is not a checksum");
}

TEST(Checksums, NamesTheFileThatChanged) {
  const TemporaryFolder folder;
  DirectBlocks blocks;
  write_file_atomically(folder.path() / "a", "content");
  const std::string sum =
      read_direct(folder.path() / "a", blocks, [](std::span<const std::byte>) {});
  EXPECT_EQ(read_verified_text(folder.path(), "a", {{"a", sum}}), "content");
  verify_file(folder.path(), "a", sum, blocks);
  write_file_atomically(folder.path() / "a", "contend");
  EXPECT_ERROR(read_verified_text(folder.path(), "a", {{"a", sum}}), ErrorKind::kData,
               (folder.path() / "a is damaged").string());
  EXPECT_ERROR(verify_file(folder.path(), "a", sum, blocks), ErrorKind::kData, "a is damaged");
  EXPECT_ERROR(read_verified_text(folder.path(), "a", {{"b", sum}}), ErrorKind::kData,
               "has no checksum of a");
  EXPECT_ERROR(verify_file(folder.path(), "gone", sum, blocks), ErrorKind::kFile, "gone");
}

}  // namespace
}  // namespace borealis
