// From a run's configuration to its micro-batches: opens the data list (or draws random tokens),
// cuts the splits, asks every file for its share of samples, blends, and walks the samples in the
// order of the contract's section 7.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "data/batch.h"
#include "data/data_order.h"

namespace borealis {

// One split as a run will use it; sums over all files unless said otherwise.
struct SplitDescription {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t requested_samples = 0;  // what the run consumes at most; 0: the split is not built
  int64_t epochs = 0;             // passes over the tokens of the file that needs the most
  int64_t index_blocks = 0;       // 1 unless the whole sample index would be too large
  int64_t index_bytes = 0;        // of one block, exact
  // What building and using it needs: of an index that is kept in files less than it is.
  int64_t index_memory_bytes = 0;
  int64_t mapped_bytes = 0;  // .idx and .bin pages that the split can touch
  bool left_empty = false;   // it has a share, but no document: it is not built
};

struct DataDescription {
  std::string source;                // the data list, or "random tokens"
  std::vector<std::string> corpora;  // labels, sorted
  int64_t files = 0;
  int64_t documents = 0;
  int64_t tokens = 0;
  SplitDescription train;
  SplitDescription valid;
  SplitDescription test;
};

// Reads the list and the .idx files, builds no index. Throws what make_batch_source would. `order`:
// of the run, which goes on after `iteration` steps from `consumed`.
DataDescription describe_data(const RunConfig& config, const DataOrder& order, int64_t iteration,
                              const ConsumedSamples& consumed);
DataDescription describe_data(const RunConfig& config);          // of a run that begins
std::string data_description_text(const DataDescription& data);  // one line for logs and reports

// Samples that a run consumes of a split (contract section 7.4): train_iters * global batch and so
// on; 0 for a split whose share in `config.data.split` is 0, and for validation where it never is.
int64_t requested_samples(const RunConfig& config, Split split);
// Whether there is a source of the split: it has a share, and its share has documents.
bool split_is_built(const RunConfig& config, Split split);

// Memory of the sources of all splits: the sample indices of one block each (of those kept in files
// what building them takes), one Batch each that is being prepared with its thread, and the one
// that the step works on. File pages are the kernel's to drop and not in it.
int64_t data_memory_bytes(const RunConfig& config, const DataDescription& data);

// Builds what is missing of the sample indices that are kept in files, of all splits: one rank does
// it for all, which then find them.
void make_index_files(const RunConfig& config, const DataOrder& order,
                      const ConsumedSamples& consumed);

// Micro-batches of `split` for one data-parallel rank from sample number `first_sample` (those
// consumed before) on. nullptr if the split is not built. Throws Error(kConfig) for a bad split or
// list line, Error(kFile) for missing files, Error(kData) for corrupt files, training data
// without documents or with less than two tokens, or first_sample beyond the requested samples.
// Its index is built here. Batches are prepared one ahead on a thread of the source
// (prefetching_source.h).
std::unique_ptr<BatchSource> make_batch_source(const RunConfig& config, const DataOrder& order,
                                               Split split, int64_t first_sample,
                                               int64_t data_parallel_rank = 0);
// Of a run that begins, or goes on as it began.
std::unique_ptr<BatchSource> make_batch_source(const RunConfig& config, Split split,
                                               int64_t first_sample,
                                               int64_t data_parallel_rank = 0);

}  // namespace borealis
