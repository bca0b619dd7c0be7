#include "base/side_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>
#include <stdexcept>
#include <vector>

namespace borealis {
namespace {

TEST(SideQueue, DoesTasksInTheirOrder) {
  SideQueue queue;
  std::vector<int> done;
  int64_t last = 0;
  for (int i = 0; i < 100; ++i) last = queue.add([&done, i] { done.push_back(i); });
  queue.wait(last);
  ASSERT_EQ(done.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(SideQueue, WaitsForOneTaskAndNotForThoseBehindIt) {
  SideQueue queue;
  std::promise<void> go_on;
  std::atomic<bool> second = false;
  const int64_t first = queue.add([] {});
  const int64_t last = queue.add([&] {
    go_on.get_future().wait();
    second = true;
  });
  queue.wait(0);
  queue.wait(first);
  EXPECT_FALSE(second);
  go_on.set_value();
  queue.wait(last);
  EXPECT_TRUE(second);
}

TEST(SideQueue, TellsAFailureEveryTimeAndDoesNothingAfterIt) {
  SideQueue queue;
  bool after = false;
  queue.add([] { throw std::runtime_error("no"); });
  const int64_t last = queue.add([&] { after = true; });
  EXPECT_THROW(queue.wait(last), std::runtime_error);
  EXPECT_THROW(queue.wait(last), std::runtime_error);
  EXPECT_THROW(queue.wait(queue.add([&] { after = true; })), std::runtime_error);
  EXPECT_FALSE(after);
}

// Who leaves does not wait for what has not begun: others may be gone that it needs.
TEST(SideQueue, DropsWhatHasNotBegun) {
  std::atomic<bool> second = false;
  std::promise<void> begun, go_on;
  std::thread releasing;
  {
    SideQueue queue;
    queue.add([&] {
      begun.set_value();
      go_on.get_future().wait();
    });
    queue.add([&] { second = true; });
    begun.get_future().wait();
    releasing = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      go_on.set_value();
    });
  }
  releasing.join();
  EXPECT_FALSE(second);
}

}  // namespace
}  // namespace borealis
