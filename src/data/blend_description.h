// What a data list yields to a run, by arithmetic on sizes alone: no index is built.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "data/batch.h"

namespace borealis {

// A file's, a corpus' or a whole split's part in what a run reads of a split.
struct Yield {
  int64_t documents = 0;  // that the split leaves it
  int64_t tokens = 0;     // in them
  int64_t samples = 0;    // asked for: its share of the run's samples, with the half percent on top
  double share = 0;       // of the split's samples
  double used_tokens = 0;  // that the run reads: share * samples of the run * seq_length
  double epochs = 0;       // passes over `tokens` that this makes
};

struct FileYield {
  std::string prefix;  // as spelled in the list
  std::string corpus;
  double weight = 0;         // as in the list
  int64_t index_epochs = 0;  // whole passes that its sample index is made of
  bool separate_last_epoch = false;
  Yield yield;
};

struct CorpusYield {
  std::string label;
  int64_t files = 0;
  Yield yield;
};

struct SplitYield {
  Split split = Split::kTrain;
  int64_t run_samples = 0;  // that the run consumes at most
  int64_t index_blocks = 1;
  int64_t index_bytes = 0;  // of one block
  Yield total;
  std::vector<CorpusYield> corpora;  // sorted by label
  std::vector<FileYield> files;      // in list order; those of weight 0 that give nothing left out
};

// The splits that have a share. Throws what make_batch_source would.
std::vector<SplitYield> describe_blend(const RunConfig& config);

}  // namespace borealis
