#include "telemetry/step_series.h"

#include <cmath>

namespace borealis {

void StepSeries::add(const StepRecord& step) {
  if (!step.skipped && std::isfinite(step.lm_loss)) {
    if (!std::isfinite(first_loss_)) first_loss_ = step.lm_loss;
    final_loss_ = step.lm_loss;
  }
  // The one before is kept only as the last, or because the stride falls on it.
  if (count_ > 0 && (count_ - 1) % stride_ != 0) steps_.pop_back();
  steps_.push_back(step);
  // Of a damaged file, not of a clock: what is negative or beyond all numbers.
  if (step.elapsed_ms > 0 && std::isfinite(training_ms_ + step.elapsed_ms)) {
    training_ms_ += step.elapsed_ms;
  }
  steps_.back().training_ms = training_ms_;
  ++count_;
  if (steps_.size() <= most_steps_) return;
  // Steps lie at multiples of the stride, this one, the last, maybe not.
  size_t kept = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (i % 2 == 0 || i + 1 == steps_.size()) steps_[kept++] = steps_[i];
  }
  steps_.resize(kept);
  stride_ *= 2;
}

}  // namespace borealis
