#include "train/step_loss.h"

#include <cmath>
#include <limits>
#include <vector>

#include "comm/collectives.h"

namespace borealis {

double StepLoss::weight(const Batch& batch) const {
  const int64_t counted = batch.loss_tokens_of_sequences();
  if (mean_ == LossMean::kTokens || counted == 0) return 1;
  return static_cast<double>(batch.tokens_of_sequences()) / static_cast<double>(counted);
}

float StepLoss::gradient_scale(const Batch& batch) const {
  return static_cast<float>(weight(batch) / static_cast<double>(tokens_));
}

void StepLoss::add(const Batch& batch, double sum) {
  sums_.loss += weight(batch) * sum;
  sums_.counted += batch.loss_tokens();
  if (batch.loss_tokens_of_sequences() > 0) sums_.in_mean += std::ssize(batch.targets);
}

void StepLoss::add_up(Communicator& ranks) {
  if (ranks.size() == 1) return;
  const std::vector<Sums> of_ranks = all_values(ranks, sums_, "adding losses");
  sums_ = {};
  for (const Sums& sums : of_ranks) {
    sums_.loss += sums.loss;
    sums_.counted += sums.counted;
    sums_.in_mean += sums.in_mean;
    sums_.unusable += sums.unusable;
  }
}

double StepLoss::mean() const {
  if (sums_.counted == 0) return std::numeric_limits<double>::quiet_NaN();
  return sums_.loss /
         static_cast<double>(mean_ == LossMean::kTokens ? sums_.counted : sums_.in_mean);
}

double StepLoss::gradient_factor() const {
  if (sums_.counted == 0) return 0;
  return static_cast<double>(tokens_) /
         static_cast<double>(mean_ == LossMean::kTokens ? sums_.counted : sums_.in_mean);
}

}  // namespace borealis
