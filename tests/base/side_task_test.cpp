#include "base/side_task.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <pthread.h>

#include <csignal>
#include <stdexcept>
#include <system_error>

namespace borealis {
namespace {

TEST(SideTask, RunsTasksOneByOne) {
  SideTask task;
  int sum = 0;
  for (int i = 1; i <= 3; ++i) task.start([&sum, i] { sum += i; });
  task.settle();
  EXPECT_EQ(sum, 6);
  EXPECT_FALSE(task.is_busy());
}

TEST(SideTask, TellsAFailureEveryTime) {
  SideTask task;
  task.start([] { throw std::runtime_error("no"); });
  EXPECT_THROW(task.settle(), std::runtime_error);
  EXPECT_THROW(task.settle(), std::runtime_error);
}

TEST(SideTask, HasNoTeamOfThreads) {
  SideTask task;
  int threads = 0;
  task.start([&] { threads = omp_get_max_threads(); });
  task.settle();
  EXPECT_EQ(threads, 1);
}

TEST(SideTask, BlocksSignalsInItsThreadAlone) {
  SideTask task;
  bool blocked = false;
  task.start([&blocked] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked = sigismember(&mask, SIGTERM) == 1;
  });
  task.settle();
  EXPECT_TRUE(blocked);
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGTERM), 0);
}

// A thread's stack is what the limit refuses, of a size that no thread before has left to be
// reused.
TEST(SideTask, IsIdleWhereTheSystemHasNoThreadForIt) {
  pthread_attr_t usual, huge;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_getattr_default_np(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 46), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  SideTask task;
  EXPECT_THROW(task.start([] {}), std::system_error);
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  task.settle();  // waits for nothing
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGTERM), 0);
  bool done = false;
  task.start([&done] { done = true; });
  task.settle();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace borealis
