// The points of a sweep as the configuration's loader and the planner see them, before any runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
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
  explicit PointPlanner(PointBasis basis);

  // With their keys and plans, in the order to run them in. Throws one Error(kConfig) with all
  // problems of all points; passes HelpRequested on.
  std::vector<SweepPoint> points(const std::vector<PointSettings>& all);
  // Anew, with the memory that is free now; of a point that points() gave.
  PointPlan plan(const SweepPoint& point);

 private:
  RunConfig load(const PointSettings& settings) const;
  void require_one_isa(const MachineConfig& machine);

  PointBasis basis_;
  int64_t program_bytes_;  // before there was anything to plan
  std::string isa_;
  std::map<std::string, RunConfig> configs_;  // by names of points
};

}  // namespace borealis
