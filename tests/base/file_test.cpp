#include "base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/folder_lock.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("borealis_file_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  int64_t files() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }
  fs::path folder_;
};

template <typename Function>
std::string message_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_F(FileTest, TextComesBackAsWritten) {
  write_file_atomically(folder_ / "a", "one\ntwo");
  EXPECT_EQ(read_text_file(folder_ / "a"), "one\ntwo");
  append_text_file(folder_ / "a", "\nthree");
  EXPECT_EQ(read_text_file(folder_ / "a"), "one\ntwo\nthree");
}

TEST_F(FileTest, AFolderThatIsALinkToNowhereIsToldAsThat) {
  fs::create_symlink("/gone/scratch", folder_ / "link");
  EXPECT_EQ(message_of([&] { borealis::create_directories(folder_ / "link"); }),
            "file: " + (folder_ / "link").string() +
                " is a link to /gone/scratch, which does not exist; make that folder, or remove "
                "the link");
}

TEST_F(FileTest, AMappingShowsTheBytesAndMoves) {
  write_file_atomically(folder_ / "a", "bytes");
  MappedFile first(folder_ / "a");
  const MappedFile second = std::move(first);
  EXPECT_EQ(second.bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(second.bytes()[4]), 's');
  write_file_atomically(folder_ / "empty", "");
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

TEST_F(FileTest, NothingAppearsWithoutCommit) {
  {
    AtomicFile file(folder_ / "a");
    file.write(std::string_view("half"));
  }
  EXPECT_EQ(files(), 0);
}

TEST_F(FileTest, AFailedWriteLeavesTheOldFile) {
  write_file_atomically(folder_ / "a", "old");
  // A limit on the size of files stands in for a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message =
      message_of([&] { write_file_atomically(folder_ / "a", std::string(1 << 21, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, ::testing::HasSubstr("cannot write"));
  EXPECT_EQ(read_text_file(folder_ / "a"), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(FileTest, AnAppendedFileGoesOnFromWhatWasSynced) {
  {
    AppendFile file(folder_ / "a", 0);
    file.write("kept");
    file.sync();
    file.write(" and lost");
    file.flush();
  }
  EXPECT_EQ(read_text_file(folder_ / "a"), "kept and lost");
  AppendFile file(folder_ / "a", 4);
  EXPECT_EQ(file.size(), 4u);
  file.write("!");
  EXPECT_EQ(file.size(), 5u);
  file.rename_to(folder_ / "b");
  EXPECT_EQ(read_text_file(folder_ / "b"), "kept!");
  EXPECT_EQ(files(), 1);
  EXPECT_THAT(message_of([&] { AppendFile(folder_ / "b", 6); }),
              ::testing::HasSubstr("b is shorter than the 6 bytes"));
}

TEST_F(FileTest, AStampTellsSizeAndChange) {
  write_file_atomically(folder_ / "a", "123");
  const FileStamp before = file_stamp(folder_ / "a");
  EXPECT_EQ(before.bytes, 3);
  EXPECT_GT(before.modified_ns, int64_t{1'700'000'000} * 1'000'000'000);
  fs::last_write_time(folder_ / "a", fs::last_write_time(folder_ / "a") + std::chrono::seconds(2));
  EXPECT_EQ(file_stamp(folder_ / "a").modified_ns - before.modified_ns, 2'000'000'000);
  EXPECT_THAT(message_of([&] { file_stamp(folder_); }), ::testing::HasSubstr("Is a directory"));
  EXPECT_THAT(message_of([&] { file_stamp("/dev/null"); }),
              ::testing::HasSubstr("/dev/null is not a regular file"));
}

TEST_F(FileTest, AFolderIsHeldByOne) {
  const auto first = FolderLock::try_hold(folder_);
  ASSERT_TRUE(first);
  EXPECT_FALSE(FolderLock::try_hold(folder_));
  EXPECT_TRUE(FolderLock::is_held(folder_));
}

// Another host's run has the file alone: its lock of the folder is not known here.
TEST_F(FileTest, AFolderIsHeldByOneHost) {
  const fs::path file = folder_ / ".borealis-lock";
  const auto hold = [&] { return FolderLock::hold_alone(folder_, "run", "name another"); };
  {
    const auto mine = hold();
    EXPECT_TRUE(fs::exists(file));
  }
  EXPECT_FALSE(fs::exists(file));
  const int elsewhere = ::open(file.c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_EQ(::flock(elsewhere, LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(FolderLock::is_held(folder_));
  EXPECT_THAT(message_of(hold),
              ::testing::AllOf(::testing::HasSubstr("on another host; name another; if that host"),
                               ::testing::HasSubstr("remove " + file.string())));
  EXPECT_TRUE(fs::exists(file));
  ::close(elsewhere);  // it was killed
  EXPECT_FALSE(FolderLock::is_held(folder_));
  EXPECT_TRUE(hold());
  fs::create_directory(file);  // nothing that can be locked
  EXPECT_TRUE(hold());
}

TEST_F(FileTest, LookingWhetherAFolderIsHeldHoldsItForNobody) {
  EXPECT_FALSE(FolderLock::is_held(folder_));
  EXPECT_TRUE(FolderLock::try_hold(folder_));
}

TEST_F(FileTest, ErrorsNameThePathAndTheCause) {
  EXPECT_THAT(
      message_of([&] { read_text_file(folder_ / "absent"); }),
      ::testing::AllOf(::testing::HasSubstr("file: cannot open"), ::testing::HasSubstr("absent"),
                       ::testing::HasSubstr("No such file or directory")));
  EXPECT_THAT(message_of([&] { MappedFile(fs::path(folder_)); }),
              ::testing::HasSubstr("Is a directory"));
}

TEST(Error, OfADiskSaysWhatToDo) {
  EXPECT_STREQ(file_error("write", "a/b", ENOSPC).what(),
               "file: cannot write a/b: No space left on device; free some space or point the "
               "output to another disk");
  EXPECT_THAT(file_error("write", "a/b", EDQUOT).what(), ::testing::HasSubstr("free some space"));
  EXPECT_THAT(file_error("create", "a/b", EROFS).what(),
              ::testing::HasSubstr("a place that this user may write to"));
  EXPECT_THAT(file_error("append to", "a/b", EACCES).what(),
              ::testing::HasSubstr("a place that this user may write to"));
  for (const char* reading : {"open", "read", "examine", "map", "open the folder"}) {
    EXPECT_THAT(file_error(reading, "a/b", EACCES).what(),
                ::testing::AllOf(::testing::HasSubstr("name one that this user may read"),
                                 ::testing::Not(::testing::HasSubstr("write"))));
  }
  EXPECT_THAT(file_error("read", "a/b", EISDIR).what(), ::testing::HasSubstr("name a file"));
  EXPECT_THAT(file_error("flush", "a/b", EIO).what(),
              ::testing::HasSubstr("look at the system's log, or use another disk"));
}

TEST(Error, ExitCodesDifferByKind) {
  EXPECT_EQ(error_exit_code(ErrorKind::kUsage), 1);
  EXPECT_EQ(error_exit_code(ErrorKind::kConfig), 2);
  EXPECT_EQ(error_exit_code(ErrorKind::kNumerics), 6);
  EXPECT_STREQ(Error(ErrorKind::kConfig, "A=1 is odd", "use 2").what(),
               "config: A=1 is odd; use 2");
}

}  // namespace
}  // namespace borealis
