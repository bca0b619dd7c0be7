// Mixes several sources of samples in given proportions (contract sections 7.7 and 7.10).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace borealis {

// At step t takes the source that is furthest behind its share: the largest
// weight * max(t, 1) - taken, the first one on ties, in doubles with every product rounded. A
// source of weight 0 is taken, too, when all others are ahead of their shares.
class GreedyBlend {
 public:
  explicit GreedyBlend(std::vector<double> weights);

  struct Choice {
    int64_t source = 0;
    int64_t number = 0;  // how often this source was taken before
  };
  Choice next();
  int64_t step() const { return step_; }

 private:
  std::vector<double> weights_;
  std::vector<double> taken_;  // counts: exact in doubles, and compared as such
  int64_t step_ = 0;
};

// Samples asked of every file for a split that needs `samples` in all: its share plus half a
// percent, rounded up; 0 for a file without weight. Order of operations as in the reference.
std::vector<int64_t> file_sample_counts(std::span<const double> weights, int64_t samples);

// Weights of the corpora of a split: their samples over those of the training split, renormalised.
std::vector<double> corpus_weights(std::span<const int64_t> corpus_samples, int64_t train_samples);

}  // namespace borealis
