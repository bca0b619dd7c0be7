// How long points will take, from those that were measured.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sweep/point.h"

namespace borealis {

// A run takes as long as its FLOPs do at the rate of the runs so far, start-up included.
class SweepClock {
 public:
  explicit SweepClock(int64_t steps) : steps_(steps) {}
  // A finished run of the point.
  void add_run(const SweepPoint& point, double wall_time_s);
  std::optional<double> run_seconds(const SweepPoint& point) const;  // none before the first run
  // All runs that `points` still need; points that will not fit take no time.
  std::optional<double> seconds_left(const std::vector<SweepPoint>& points, int64_t repeats,
                                     bool try_all) const;

 private:
  double run_flops(const SweepPoint& point) const;

  int64_t steps_;
  double seconds_ = 0;
  double flops_ = 0;
};

}  // namespace borealis
