#include "base/pace.h"

#include <algorithm>

namespace borealis {

void Pace::begin(Clock::duration time, int64_t parts) {
  const std::lock_guard lock(mutex_);
  hurry_ = false;
  parts_ = std::max<int64_t>(done_ > 0 ? done_ : parts, 1);
  done_ = 0;
  time_ = time;
  began_ = part_began_ = Clock::now();
}

void Pace::rest() {
  std::unique_lock lock(mutex_);
  ++done_;
  const Clock::time_point now = Clock::now();
  const auto in_ticks = [](auto duration) {
    return std::chrono::duration_cast<Clock::duration>(duration);
  };
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(parts_));
  const auto most = in_ticks((now - part_began_) * most_rest_per_work_);
  // Negative where the work is late: no rest.
  const auto rest = std::min(most, began_ + in_ticks(time_ * share) - now);
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
