#include "data/prefetching_source.h"

#include <utility>

#include "base/error.h"
#include "base/side_thread.h"

namespace borealis {

PrefetchingSource::PrefetchingSource(std::unique_ptr<BatchSource> source, Start start)
    : source_(std::move(source)) {
  if (start == Start::kAtOnce) this->start();
}

PrefetchingSource::~PrefetchingSource() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PrefetchingSource::start() {
  thread_ = start_side_thread([this] { run(); });
}

void PrefetchingSource::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const bool skips = std::exchange(skips_refused_, false);
    lock.unlock();  // prepared_ is this thread's as long as it is not ready
    std::exception_ptr failure;
    try {
      if (skips) source_->skip();
      source_->next(prepared_);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    ready_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return stop_ || !ready_; });
  }
}

void PrefetchingSource::next(Batch& batch) {
  if (!thread_.joinable()) start();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_; });
  if (failure_) std::rethrow_exception(failure_);  // and stays ready: so will the next call
  std::swap(batch, prepared_);
  ready_ = false;
  lock.unlock();
  changed_.notify_all();
}

void PrefetchingSource::skip() {
  if (!thread_.joinable()) start();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_; });
  if (failure_) {
    try {
      std::rethrow_exception(failure_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kData) throw;
    }
    failure_ = nullptr;
    skips_refused_ = true;
  }
  ready_ = false;
  lock.unlock();
  changed_.notify_all();
}

}  // namespace borealis
