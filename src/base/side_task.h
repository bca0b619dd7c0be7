// A thread that does one thing at a time beside the caller.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace borealis {

// Runs one task at a time beside the caller. Its thread starts with the first.
class SideTask {
 public:
  SideTask() = default;
  ~SideTask();  // waits for the task
  SideTask(const SideTask&) = delete;
  SideTask& operator=(const SideTask&) = delete;

  // Waits for the task before. Throws what that one threw.
  void start(std::function<void()> task);
  // Waits until the task is done; throws what it threw, and so does every call after that.
  void settle();
  bool is_busy() const;

 private:
  void run();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> task_;  // guarded, like all below; empty: idle
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace borealis
