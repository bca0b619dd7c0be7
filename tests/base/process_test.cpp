#include "base/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "support/dead_process.h"

namespace borealis {
namespace {

TEST(ProcessMark, TellsTheLivingFromTheDead) {
  const ProcessMark mine = this_process();
  ASSERT_FALSE(mine.table.empty());
  EXPECT_EQ(mine.id, ::getpid());
  EXPECT_EQ(is_alive(mine), true);
  ProcessMark dead = mine;
  dead.id = dead_process();
  EXPECT_EQ(is_alive(dead), false);
}

TEST(ProcessMark, TakesAnotherProcessOfTheSameNumberForNone) {
  ProcessMark earlier = this_process();
  earlier.start_ticks -= 1;
  EXPECT_EQ(is_alive(earlier), false);
}

TEST(ProcessMark, KnowsNothingOfOtherMachines) {
  ProcessMark elsewhere = this_process();
  elsewhere.table = "another boot";
  EXPECT_EQ(is_alive(elsewhere), std::nullopt);
  EXPECT_EQ(is_alive(ProcessMark{}), std::nullopt);
}

TEST(ProcessMark, OneThatNobodyHasWaitedForIsDead) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int64_t ticks = this_process().start_ticks;
    (void)!::write(ends[1], &ticks, sizeof ticks);
    ::pause();
    ::_exit(0);
  }
  ProcessMark mark = this_process();
  mark.id = child;
  ASSERT_EQ(::read(ends[0], &mark.start_ticks, sizeof mark.start_ticks),
            static_cast<ssize_t>(sizeof mark.start_ticks));
  EXPECT_EQ(is_alive(mark), true);
  ::kill(child, SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(is_alive(mark), false);
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(ProcessName, IsThePrograms) {
  EXPECT_EQ(process_name(::getpid()), "test_base");
  EXPECT_EQ(process_name(999'999'999), "");
}

}  // namespace
}  // namespace borealis
