#include "sweep/time_left.h"

#include <algorithm>

#include "sweep/families.h"

namespace borealis {

double SweepClock::run_flops(const SweepPoint& point) const {
  return point.plan.flops_per_step() * static_cast<double>(steps_);
}

void SweepClock::add_run(const SweepPoint& point, double wall_time_s) {
  seconds_ += wall_time_s;
  flops_ += run_flops(point);
}

std::optional<double> SweepClock::run_seconds(const SweepPoint& point) const {
  if (flops_ <= 0) return std::nullopt;
  return seconds_ / flops_ * run_flops(point);
}

std::optional<double> SweepClock::seconds_left(const std::vector<SweepPoint>& points,
                                               int64_t repeats, bool try_all) const {
  if (flops_ <= 0) return std::nullopt;
  double seconds = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const SweepPoint& point = points[i];
    if (!point.in_grid || point.state != PointState::kPending || !point.plan.fits) continue;
    if (!try_all && out_of_memory_before(points, i) != nullptr) continue;
    const auto runs = repeats - static_cast<int64_t>(point.runs.size());
    seconds += *run_seconds(point) * static_cast<double>(std::max<int64_t>(0, runs));
  }
  return seconds;
}

}  // namespace borealis
