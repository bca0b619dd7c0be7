// Fits the constants of a machine to measured steps.
#pragma once

#include <string>
#include <vector>

#include "planner/machine_model.h"

namespace borealis {

struct MeasuredStep {
  std::string name;
  StepShape shape;
  double seconds = 0;
};

// Minimizes over s >= 0
//   sum_rows [(t(s) - measured) / (measured noise)]^2 + sum_terms [(s / assumed - 1) / deviation]^2
// with t of step_time.h: relative errors of the rows, and for what the rows do not tell apart (one
// architecture alone, say) the machine's assumptions. noise: for which the rows are likeliest,
// given the assumptions, from 0.3 % on. Its covariance is the inverse of half the second
// derivative. Every row is also predicted from the others.
//   base: links, stack and assumptions; a calibration that it has is not looked at.
// Throws Error(kData) for fewer than two rows, Error(kConfig) for rows of another DTYPE, or shorter
// than what base's links need for them.
MachineCalibration calibrate(const MachineModel& base, const std::vector<MeasuredStep>& steps,
                             const std::string& source);

}  // namespace borealis
