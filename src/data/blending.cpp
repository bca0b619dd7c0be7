#include "data/blending.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "data/numpy_random.h"

namespace borealis {

GreedyBlend::GreedyBlend(std::vector<double> weights)
    : weights_(std::move(weights)), taken_(weights_.size(), 0) {
  CHECK(!weights_.empty());
}

GreedyBlend::Choice GreedyBlend::next() {
  const auto time = static_cast<double>(std::max<int64_t>(step_, 1));
  size_t best = 0;
  double best_lag = weights_[0] * time - taken_[0];
  for (size_t i = 1; i < weights_.size(); ++i) {
    const double lag = weights_[i] * time - taken_[i];
    if (lag > best_lag) {
      best = i;
      best_lag = lag;
    }
  }
  ++step_;
  const auto number = static_cast<int64_t>(taken_[best]);
  taken_[best] += 1;
  return {static_cast<int64_t>(best), number};
}

std::vector<int64_t> file_sample_counts(std::span<const double> weights, int64_t samples) {
  constexpr double kSurplus = 1.005;  // so that rounding never leaves the blend short
  double sum = 0;
  for (const double weight : weights) sum += weight;
  std::vector<int64_t> counts;
  for (const double weight : weights) {
    const double share = static_cast<double>(samples) * (weight / sum);
    counts.push_back(static_cast<int64_t>(std::ceil(share * kSurplus)));
  }
  return counts;
}

std::vector<double> corpus_weights(std::span<const int64_t> corpus_samples, int64_t train_samples) {
  std::vector<double> weights;
  for (const int64_t samples : corpus_samples) {
    weights.push_back(static_cast<double>(samples) / static_cast<double>(train_samples));
  }
  const double sum = numpy_sum(weights);
  for (double& weight : weights) weight /= sum;
  return weights;
}

}  // namespace borealis
