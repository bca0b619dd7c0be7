// The order of samples over all files, for one block of a split: samples of a file (sample_index.h)
// -> of a corpus (concatenated or blended, then shuffled) -> of the run (corpora blended).
#pragma once

#include <cstddef>
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
    int64_t number = 0;  // among those that the block has of the file
  };
  Sample next();  // in order; past sample_count() it starts to repeat samples
  void skip(int64_t samples);
  int64_t taken() const { return taken_; }
  int64_t sample_count() const { return sample_count_; }
  // Of the first generation that the block needs of the file.
  const SampleIndex& index(int64_t file) const {
    return files_[static_cast<size_t>(file)].indices.front();
  }
  // Of mapped indices: that of the file, and of the corpora.
  void forget_pages(int64_t file) const;
  // As SampleIndex::for_each_piece, of a sample that next() gave.
  template <typename Piece>
  void for_each_piece(const Sample& sample, Piece piece) const {
    const FileSamples& file = files_[static_cast<size_t>(sample.file)];
    int64_t place = file.first + sample.number;
    for (size_t i = 0; i < file.indices.size(); ++i) {
      const int64_t inside = place - file.begins[i];
      if (inside < file.indices[i].sample_count())
        return file.indices[i].for_each_piece(inside, piece);
    }
    refuse_cached_index();
  }

 private:
  struct Corpus {
    std::vector<int64_t> files;  // of its members, in list order; -1: not opened
    CorpusOrder order;
  };

  struct FileSamples {
    int64_t first = 0;                 // place in the file's stream of sample 0
    std::vector<SampleIndex> indices;  // of the generations
    std::vector<int64_t> begins;       // of each, in the file's stream
  };

  GreedyBlend::Choice choose();

  std::vector<FileSamples> files_;
  std::vector<Corpus> corpora_;  // sorted by label; those without samples included
  GreedyBlend blend_;
  int64_t sample_count_ = 0;
  int64_t taken_ = 0;
};

}  // namespace borealis
