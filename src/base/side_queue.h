// A thread that does one thing after the other beside the caller.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace borealis {

// Runs tasks beside the caller in the order in which they were added. Its thread starts with the
// first.
class SideQueue {
 public:
  SideQueue() = default;
  ~SideQueue();  // waits for the task that has begun; those behind it are not done any more
  SideQueue(const SideQueue&) = delete;
  SideQueue& operator=(const SideQueue&) = delete;

  // The task's number, for wait(): from 1 on.
  int64_t add(std::function<void()> task);
  // Until the task of this number is done; 0 is done. Throws what a task threw, after which none is
  // done any more, and so does every call after that.
  void wait(int64_t number);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;  // guarded, like all below
  int64_t added_ = 0;
  int64_t done_ = 0;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace borealis
