#include "base/side_queue.h"

#include <utility>

#include "base/side_thread.h"

namespace borealis {

SideQueue::~SideQueue() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

int64_t SideQueue::add(std::function<void()> task) {
  if (!thread_.joinable()) thread_ = start_side_thread([this] { run(); });
  int64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    number = ++added_;
  }
  changed_.notify_all();
  return number;
}

void SideQueue::wait(int64_t number) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= number || failure_; });
  if (failure_) std::rethrow_exception(failure_);
}

void SideQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    if (stop_) return;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      task();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    ++done_;
    failure_ = failure;
    changed_.notify_all();
    if (failure) return;
  }
}

}  // namespace borealis
