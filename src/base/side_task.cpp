#include "base/side_task.h"

#include <system_error>
#include <utility>

#include "base/side_thread.h"

namespace borealis {

SideTask::~SideTask() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SideTask::start(std::function<void()> task) {
  settle();
  {
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
  }
  if (thread_.joinable()) {
    changed_.notify_all();
    return;
  }
  try {
    thread_ = start_side_thread([this] { run(); });
  } catch (const std::system_error&) {
    task_ = nullptr;  // nobody is going to do it
    throw;
  }
}

void SideTask::settle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !task_; });
  if (failure_) std::rethrow_exception(failure_);
}

void SideTask::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || task_; });
    if (!task_) return;
    lock.unlock();
    std::exception_ptr failure;
    try {
      task_();  // nobody else touches it as long as it is there
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure) failure_ = failure;
    task_ = nullptr;
    changed_.notify_all();
  }
}

bool SideTask::is_busy() const {
  const std::lock_guard lock(mutex_);
  return task_ != nullptr;
}

}  // namespace borealis
