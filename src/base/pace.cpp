#include "base/pace.h"

#include <algorithm>

namespace borealis {

void Pace::begin(Clock::duration time) {
  const std::lock_guard lock(mutex_);
  hurry_ = false;
  part_began_ = Clock::now();
  last_rest_ends_ = part_began_ + time;
}

void Pace::rest() {
  std::unique_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  const auto rest =
      std::chrono::duration_cast<Clock::duration>((now - part_began_) * rest_per_work_);
  // Negative where the time is over: no rest.
  hurried_.wait_for(lock, std::min(rest, last_rest_ends_ - now), [this] { return hurry_; });
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
