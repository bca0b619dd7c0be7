// The order of samples over all files, for one block of a split: samples of a file (sample_index.h)
// -> of a corpus (concatenated or blended, then shuffled) -> of the run (corpora blended).
#pragma once

#include <cstdint>
#include <vector>

#include "data/blending.h"
#include "data/sample_index.h"
#include "data/split_plan.h"

namespace borealis {

class SampleOrder {
 public:
  SampleOrder(const RunConfig& config, const OpenedFiles& files, const SplitPlan& plan,
              int64_t block);

  struct Sample {
    int64_t file = 0;
    int64_t number = 0;  // of the file's SampleIndex
  };
  Sample next();  // in order; past sample_count() it starts to repeat samples
  int64_t taken() const { return blend_.step(); }
  int64_t sample_count() const { return sample_count_; }
  const SampleIndex& index(int64_t file) const { return indices_[static_cast<size_t>(file)]; }

 private:
  struct Corpus {
    std::vector<int64_t> files;   // in list order
    std::vector<int64_t> starts;  // of each file's samples when laid end to end; then the total
    std::vector<uint32_t> order;  // sample -> place end to end; empty: the identity
  };
  static std::vector<Corpus> group_by_corpus(const OpenedFiles& files, const SplitPlan& plan);
  static std::vector<double> weights_of(const std::vector<Corpus>& corpora, const SplitPlan& plan);
  static void blend_files(Corpus& corpus);

  std::vector<SampleIndex> indices_;  // one a file
  std::vector<Corpus> corpora_;       // sorted by label
  GreedyBlend blend_;
  int64_t sample_count_ = 0;
};

}  // namespace borealis
