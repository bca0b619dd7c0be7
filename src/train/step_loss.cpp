#include "train/step_loss.h"

#include <cmath>
#include <limits>

namespace borealis {

double StepLoss::weight(const Batch& batch) const {
  const int64_t counted = batch.loss_tokens();
  if (mean_ == LossMean::kTokens || counted == 0) return 1;
  return static_cast<double>(batch.targets.size()) / static_cast<double>(counted);
}

float StepLoss::gradient_scale(const Batch& batch) const {
  return static_cast<float>(weight(batch) / static_cast<double>(tokens_));
}

void StepLoss::add(const Batch& batch, double sum) {
  const int64_t counted = batch.loss_tokens();
  sum_ += weight(batch) * sum;
  counted_ += counted;
  if (counted > 0) in_mean_ += std::ssize(batch.targets);
}

double StepLoss::mean() const {
  if (counted_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return sum_ / static_cast<double>(mean_ == LossMean::kTokens ? counted_ : in_mean_);
}

double StepLoss::gradient_factor() const {
  if (counted_ == 0) return 0;
  return static_cast<double>(tokens_) /
         static_cast<double>(mean_ == LossMean::kTokens ? counted_ : in_mean_);
}

}  // namespace borealis
