#include "train/signals.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <thread>

namespace borealis {
namespace {

constexpr int kSignals = 200;
std::atomic<int> handled = 0;
std::array<std::atomic<pid_t>, kSignals> handled_by;

pid_t this_thread() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void note(int) {
  const int place = handled++;
  if (place < kSignals) handled_by[static_cast<size_t>(place)] = this_thread();
}

// How many of the signals to this process interrupt a thread that computes: this one, or one that
// it starts.
int64_t interruptions() {
  handled = 0;
  std::atomic<pid_t> other = 0;
  std::atomic<bool> done = false;
  std::thread computing([&] {
    other = this_thread();
    while (!done) {
    }
  });
  while (other == 0) {
  }
  for (int sent = 1; sent <= kSignals; ++sent) {
    ::kill(::getpid(), SIGUSR1);
    while (handled < sent) {
    }
  }
  done = true;
  computing.join();
  return std::ranges::count_if(
      handled_by, [&](const std::atomic<pid_t>& by) { return by == this_thread() || by == other; });
}

TEST(SignalThread, ComputingThreadsAreNotInterrupted) {
  const auto before = std::signal(SIGUSR1, note);
  {
    const SignalThread receives;
    EXPECT_EQ(interruptions(), 0);
  }
  std::signal(SIGUSR1, before);
}

TEST(SignalThread, WithoutItTheyAre) {
  const auto before = std::signal(SIGUSR1, note);
  EXPECT_GT(interruptions(), 0);
  std::signal(SIGUSR1, before);
}

}  // namespace
}  // namespace borealis
