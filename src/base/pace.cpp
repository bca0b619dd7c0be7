#include "base/pace.h"

namespace borealis {

void Pace::begin() {
  const std::lock_guard lock(mutex_);
  hurry_ = false;
  part_began_ = Clock::now();
}

void Pace::rest() {
  std::unique_lock lock(mutex_);
  const auto rest = (Clock::now() - part_began_) * rest_per_work_;
  hurried_.wait_for(lock, rest, [this] { return hurry_; });
  part_began_ = Clock::now();
}

void Pace::hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurry_ = true;
  }
  hurried_.notify_all();
}

}  // namespace borealis
