// The points of a sweep as the configuration's loader and the planner see them, before any runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/run_config.h"
#include "sweep/point.h"

namespace borealis {

// What all points have in common.
struct PointBasis {
  std::vector<std::string> flags;  // behind --
  int64_t steps = 10;
  std::string cache_path;  // of sample indices
  bool needs_data = true;  // false: a missing data list is no problem
};

class PointPlanner {
 public:
  explicit PointPlanner(PointBasis basis) : basis_(std::move(basis)) {}

  // With their keys and plans, in the order to run them in. Throws one Error(kConfig) with all
  // problems of all points; passes HelpRequested on.
  std::vector<SweepPoint> points(const std::vector<PointSettings>& all);
  // Anew, with the memory that is free now; of a point that points() gave. A process of its own
  // plans: what it needs of a GPU, and of instructions, stays its own. Throws Error(kConfig) with
  // its line where it cannot.
  PointPlan plan(const SweepPoint& point) const;

 private:
  RunConfig load(const PointSettings& settings) const;

  PointBasis basis_;
  std::map<std::string, RunConfig> configs_;  // by names of points
};

}  // namespace borealis
