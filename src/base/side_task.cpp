#include "base/side_task.h"

#include <pthread.h>

#include <csignal>
#include <utility>

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
  // Signals are for the thread that runs the steps: this one inherits a mask that blocks them all.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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
