#include "watch/run_list.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class RunListTest : public ::testing::Test {
 protected:
  // A run that was started in that minute.
  fs::path make_run(const fs::path& name, int minute) {
    const fs::path folder = folder_.path() / name;
    write_fake_run(folder, {.steps = 3, .nan_steps = {}});
    fs::last_write_time(folder / "config.json", start_ + std::chrono::minutes(minute));
    return folder;
  }
  static std::vector<std::string> names(const RunList& list) {
    std::vector<std::string> names;
    for (const WatchedRun* run : list.runs()) names.push_back(run->name);
    return names;
  }

  TemporaryFolder folder_;
  fs::file_time_type start_ = fs::file_time_type::clock::now() - std::chrono::hours(1);
};

TEST_F(RunListTest, FindsTheNewestFirst) {
  make_run("logs/a/old", 1);
  make_run("logs/b/new", 3);
  make_run("logs/a/middle", 2);
  borealis::create_directories(folder_.path() / "logs/empty");
  RunList list({folder_.path() / "logs"});
  EXPECT_THAT(names(list), ElementsAre("b/new", "a/middle", "a/old"));
  make_run("logs/a/newest", 4);
  list.look_for_new_runs();
  EXPECT_THAT(names(list), ElementsAre("a/newest", "b/new", "a/middle", "a/old"));
  list.update(0);
  EXPECT_EQ(list.runs().front()->last_step()->iteration, 3);
}

TEST_F(RunListTest, NamedRunsComeInTheirOrderAndOnce) {
  const fs::path a = make_run("x/run", 1);
  const fs::path b = make_run("y/run", 2);
  RunList list({a, b, a / "", folder_.path() / "x"});
  EXPECT_THAT(names(list), ElementsAre("run", b.string()));
  fs::remove_all(b);
  list.look_for_new_runs();  // it stays
  EXPECT_EQ(list.runs().size(), 2U);
}

TEST_F(RunListTest, BeyondTheMostTheOldestThatNobodyNamedAreLeftOut) {
  for (size_t i = 0; i < RunList::kMostRuns + 2; ++i) {
    const fs::path folder = folder_.path() / "many" / std::to_string(i);
    borealis::create_directories(folder);
    append_text_file(folder / kSummaryFileName, "{}");
    append_text_file(folder / "config.json", "{}");
    fs::last_write_time(folder / "config.json", start_ + std::chrono::seconds(i));
  }
  const fs::path named = make_run("named", -60);  // the oldest of all
  RunList list({folder_.path() / "many", named});
  ASSERT_EQ(list.runs().size(), RunList::kMostRuns);
  EXPECT_EQ(list.left_out(), 3);
  EXPECT_EQ(names(list).back(), "named");
  EXPECT_EQ(names(list).front(), std::to_string(RunList::kMostRuns + 1));
  make_run("many/new", 30);
  list.look_for_new_runs();
  EXPECT_EQ(names(list).front(), "new");
  EXPECT_EQ(list.left_out(), 4);
}

TEST_F(RunListTest, RefusesWhatHasNoRun) {
  EXPECT_ERROR(RunList({fs::path()}), ErrorKind::kUsage, "an empty name is no folder");
  EXPECT_ERROR(RunList({folder_.path() / "none"}), ErrorKind::kFile, "does not exist", "logs/");
  EXPECT_ERROR(RunList({folder_.path()}), ErrorKind::kFile, "there is no run in");
  append_text_file(folder_.path() / "file", "x");
  EXPECT_ERROR(RunList({folder_.path() / "file"}), ErrorKind::kFile, "is no folder");
}

}  // namespace
}  // namespace borealis
