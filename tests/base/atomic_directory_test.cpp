#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

int entries_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(AtomicDirectory, AppearsOnlyOnCommit) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a" / "b";
  AtomicDirectory target(path);
  write_file_atomically(target.partial_path() / "x", "new");
  EXPECT_FALSE(fs::exists(path));
  target.commit();
  EXPECT_EQ(read_text_file(path / "x"), "new");
  EXPECT_EQ(entries_in(folder.path() / "a"), 1);
}

TEST(AtomicDirectory, ReplacesTheWholeFolder) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "d";
  fs::create_directory(path);
  std::ofstream(path / "old") << "old";
  AtomicDirectory target(path);
  write_file_atomically(target.partial_path() / "x", "new");
  EXPECT_TRUE(fs::exists(path / "old"));
  target.commit();
  EXPECT_FALSE(fs::exists(path / "old"));
  EXPECT_EQ(read_text_file(path / "x"), "new");
  EXPECT_EQ(entries_in(folder.path()), 1);
}

TEST(AtomicDirectory, LeavesWhatAppearedMeanwhile) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "d";
  {
    AtomicDirectory target(path, Existing::kRefuse);
    fs::create_directory(path);  // an empty one is none
    target.commit();
  }
  {
    AtomicDirectory target(path, Existing::kRefuse);
    write_file_atomically(path / "mine", "");
    EXPECT_ERROR(target.commit(), ErrorKind::kFile, "is there by now");
  }
  EXPECT_TRUE(fs::exists(path / "mine"));
  EXPECT_EQ(entries_in(folder.path()), 1);
}

TEST(AtomicDirectory, WithoutCommitLeavesEverythingAsItWas) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "d";
  fs::create_directory(path);
  {
    AtomicDirectory target(path);
    write_file_atomically(target.partial_path() / "x", "new");
  }
  EXPECT_EQ(entries_in(folder.path()), 1);
  EXPECT_EQ(entries_in(path), 0);
}

TEST(AtomicDirectory, SaysWhereItCannotBeMade) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "";
  EXPECT_ERROR(AtomicDirectory(folder.path() / "file" / "d"), ErrorKind::kFile, "cannot create");
}

TEST(CopyFileAtomically, CopiesEveryByte) {
  const TemporaryFolder folder;
  const std::string text("a\0b\n", 4);
  write_file_atomically(folder.path() / "from", text);
  copy_file_atomically(folder.path() / "from", folder.path() / "to");
  const MappedFile copy(folder.path() / "to");
  const auto* bytes = reinterpret_cast<const char*>(copy.bytes().data());
  EXPECT_EQ(std::string(bytes, copy.bytes().size()), text);
  EXPECT_ERROR(copy_file_atomically(folder.path() / "none", folder.path() / "to"), ErrorKind::kFile,
               "cannot open");
}

}  // namespace
}  // namespace borealis
