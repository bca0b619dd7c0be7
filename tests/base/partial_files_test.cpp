#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "support/dead_process.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using ::testing::UnorderedElementsAre;

// What another process of this host calls `name` until it is whole, or sets it aside as.
std::string name_of_process(const fs::path& own, pid_t process) {
  const std::string name = own.filename().string();
  return name.substr(0, name.rfind('.') + 1) + std::to_string(process);
}

class PartialFilesTest : public ::testing::Test {
 protected:
  std::string partial(const std::string& name, pid_t process) const {
    return name_of_process(partial_path_of(name), process);
  }
  std::string aside(const std::string& name, pid_t process) const {
    return name_of_process(aside_path_of(name), process);
  }
  void make_file(const std::string& name, const std::string& text = "x") const {
    write_file_atomically(folder_.path() / name, text);
  }
  void make_folder(const std::string& name, const std::string& text = "x") const {
    fs::create_directory(folder_.path() / name);
    write_file_atomically(folder_.path() / name / "inside", text);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      found.push_back(entry.path().filename().string());
    }
    return found;
  }
  const TemporaryFolder folder_;
  const pid_t dead_ = dead_process();
};

TEST_F(PartialFilesTest, ATemporaryNameSaysHostAndProcess) {
  const std::string host = "[-A-Za-z0-9._]+";
  EXPECT_THAT(partial_path_of("a/b.bin").string(),
              MatchesRegex(fmt::format("a/b.bin.partial.{}.{}", host, ::getpid())));
  EXPECT_THAT(aside_path_of("a/b").string(),
              MatchesRegex(fmt::format("a/b.old.{}.{}", host, ::getpid())));
}

TEST_F(PartialFilesTest, WhatADeadProcessLeftIsRemoved) {
  make_file("a");
  make_file(partial("a", dead_));
  make_folder(partial("global_step4", dead_));
  EXPECT_EQ(remove_stale_partials(folder_.path()), 2);
  EXPECT_THAT(names(), ElementsAre("a"));
  EXPECT_EQ(remove_stale_partials(folder_.path()), 0);
}

TEST_F(PartialFilesTest, TheNextOneOfTheNameRemovesWhatADeadProcessLeft) {
  make_file(partial("a", dead_));
  make_file(partial("b", dead_));
  make_file(aside("a", dead_));
  make_file("a");
  EXPECT_THAT(names(), UnorderedElementsAre("a", partial("b", dead_), aside("a", dead_)));
  make_folder(partial("d", dead_));
  AtomicDirectory(folder_.path() / "d").commit();
  EXPECT_THAT(names(), UnorderedElementsAre("a", partial("b", dead_), aside("a", dead_), "d"));
}

TEST_F(PartialFilesTest, WhatMayBeInUseStays) {
  const std::string dead = std::to_string(dead_);
  const std::vector<std::string> kept = {
      partial("a", ::getpid()),            // ours
      partial("a", 1),                     // alive, perhaps another user's
      "a.partial.elsewhere." + dead,       // another host's
      "a.partial." + dead,                 // no host
      partial("a", dead_) + ".txt",        // another name
      partial("a", dead_) + "x",           //
      "a.partial",                         //
      partial("", dead_),                  // of nothing
      partial("a", dead_) + "0000000000",  // no process has such a number
  };
  for (const std::string& name : kept) make_file(name);
  fs::create_symlink("nowhere", folder_.path() / partial("link", dead_));
  EXPECT_EQ(remove_stale_partials(folder_.path()), 0);
  EXPECT_EQ(names().size(), kept.size() + 1);
}

TEST_F(PartialFilesTest, WhatAnotherHostLeftIsRemovedADayLater) {
  const auto day_old = fs::file_time_type::clock::now() - std::chrono::hours(25);
  const std::vector<std::string> left = {"a.partial.elsewhere.7",
                                         "d.partial.else.where.7",
                                         "young.partial.elsewhere.7",
                                         "a.partial.elsewhere.x7",
                                         "a.txt",
                                         aside("a", dead_)};
  for (const std::string& name : left) {
    make_folder(name);
    fs::last_write_time(folder_.path() / name / "inside", day_old);
    fs::last_write_time(folder_.path() / name, day_old);
  }
  make_file("a");
  write_file_atomically(folder_.path() / "young.partial.elsewhere.7/inside", "still written");
  fs::last_write_time(folder_.path() / "young.partial.elsewhere.7", day_old);
  EXPECT_EQ(remove_stale_partials(folder_.path()), 3) << "with what was set aside on this host";
  EXPECT_THAT(names(), UnorderedElementsAre("young.partial.elsewhere.7", "a.partial.elsewhere.x7",
                                            "a.txt", "a"));
}

TEST_F(PartialFilesTest, WhatWasSetAsideIsRemovedOnceItHasASuccessor) {
  make_folder("d", "new");
  make_folder(aside("d", dead_), "old");
  EXPECT_EQ(remove_stale_partials(folder_.path()), 1);
  EXPECT_THAT(names(), ElementsAre("d"));
  EXPECT_EQ(read_text_file(folder_.path() / "d" / "inside"), "new");
}

// Killed between the two renames of a file system that cannot exchange names.
TEST_F(PartialFilesTest, WhatWasSetAsideForNothingGetsItsNameBack) {
  make_folder(aside("d", dead_), "old");
  make_folder(partial("d", dead_), "new");
  EXPECT_EQ(remove_stale_partials(folder_.path()), 1);
  EXPECT_THAT(names(), ElementsAre("d"));
  EXPECT_EQ(read_text_file(folder_.path() / "d" / "inside"), "old");
}

TEST_F(PartialFilesTest, WithoutAFolderThereIsNothing) {
  EXPECT_EQ(remove_stale_partials(folder_.path() / "absent"), 0);
  make_file("file");
  EXPECT_EQ(remove_stale_partials(folder_.path() / "file"), 0);
}

}  // namespace
}  // namespace borealis
