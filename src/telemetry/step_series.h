#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "telemetry/step_record.h"

namespace borealis {

// The steps of a run in bounded memory, however long it is: all of them, or, where they are too
// many, the first, every stride-th behind it, and the last.
class StepSeries {
 public:
  static constexpr size_t kMostSteps = 100'000;

  explicit StepSeries(size_t most_steps = kMostSteps) : most_steps_(most_steps) {}
  // In the order of the run; fills training_ms.
  void add(const StepRecord& step);

  const std::vector<StepRecord>& steps() const { return steps_; }
  int64_t stride() const { return stride_; }
  // Of all steps of the run.
  int64_t count() const { return count_; }
  double first_loss() const { return first_loss_; }  // of steps that were not skipped; NaN: none
  double final_loss() const { return final_loss_; }

 private:
  size_t most_steps_;
  std::vector<StepRecord> steps_;
  double training_ms_ = 0;
  int64_t stride_ = 1;
  int64_t count_ = 0;
  double first_loss_ = std::numeric_limits<double>::quiet_NaN();
  double final_loss_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace borealis
