// The order of samples over all files, for one block of a split: samples of a file (sample_index.h)
// -> of a corpus (concatenated or blended, then shuffled) -> of the run (corpora blended).
#pragma once

#include <cstdint>
#include <vector>

#include "data/blending.h"
#include "data/corpus_order.h"
#include "data/sample_index.h"
#include "data/split_plan.h"

namespace borealis {

class SampleOrder {
 public:
  // Reads or builds the indices: in files where the configuration has a cache folder and there is
  // one block, else in memory.
  SampleOrder(const RunConfig& config, const OpenedFiles& files, const SplitPlan& plan,
              int64_t block);

  struct Sample {
    int64_t file = 0;
    int64_t number = 0;  // of the file's SampleIndex
  };
  Sample next();  // in order; past sample_count() it starts to repeat samples
  void skip(int64_t samples);
  int64_t taken() const { return taken_; }
  int64_t sample_count() const { return sample_count_; }
  const SampleIndex& index(int64_t file) const { return indices_[static_cast<size_t>(file)]; }

 private:
  struct Corpus {
    std::vector<int64_t> files;  // of its members, in list order; -1: not opened
    CorpusOrder order;
  };

  GreedyBlend::Choice choose();

  std::vector<SampleIndex> indices_;  // one a file
  std::vector<Corpus> corpora_;       // sorted by label; those without samples included
  GreedyBlend blend_;
  int64_t sample_count_ = 0;
  int64_t taken_ = 0;
};

}  // namespace borealis
