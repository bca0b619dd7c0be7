#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "telemetry/step_record.h"

namespace borealis {

// The steps of a run in bounded memory, however long it is: all of them, or, where they are too
// many, every stride-th, and besides what must not be lost between those: the first ones, the last
// ones, skipped ones (a sixteenth of most_steps), and of each stretch of the run that of the
// highest and of the lowest loss and rate, and of the largest gradient norm.
class StepSeries {
 public:
  static constexpr size_t kMostSteps = 20'000;

  // most_steps: of those at the stride; what else is kept is at most a fifth of it, and 64.
  explicit StepSeries(size_t most_steps = kMostSteps) : most_steps_(most_steps) {}
  // In the order of the run; fills training_ms.
  void add(const StepRecord& step);

  // In the order of the run. Those that are not at the stride `stands_out`: a mean of all would be
  // one of spikes.
  std::vector<StepRecord> steps() const;
  const StepRecord* last() const { return last_.empty() ? nullptr : &last_.back().record; }
  bool empty() const { return count_ == 0; }
  int64_t stride() const { return stride_; }
  // Of all steps of the run.
  int64_t count() const { return count_; }
  double first_loss() const { return first_loss_; }  // of steps that were not skipped; NaN: none
  double final_loss() const { return final_loss_; }

 private:
  struct Kept {
    int64_t place = 0;  // among all steps
    StepRecord record;
  };
  static constexpr int kExtremes = 5;
  struct Stretch {
    std::array<std::optional<Kept>, kExtremes> of;
  };
  void keep_at_stride(const Kept& step);
  void keep_skipped(const Kept& step);
  void keep_extremes(const Kept& step);
  static void take_extreme(const Kept& step, size_t which, Stretch& stretch);

  size_t most_steps_;
  std::vector<Kept> at_stride_, first_, skipped_, last_;
  std::vector<Stretch> stretches_;
  int64_t stretch_steps_ = 1;
  double training_ms_ = 0;
  int64_t stride_ = 1;
  int64_t skipped_stride_ = 1, skipped_count_ = 0;
  int64_t count_ = 0;
  double first_loss_ = std::numeric_limits<double>::quiet_NaN();
  double final_loss_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace borealis
