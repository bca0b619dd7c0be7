// Which samples a run sees in which order, beyond what its configuration says: a run that goes on
// after it was stopped keeps the order that it began with, whatever its length has become since.
//
// The order of a split is a chain of segments. The first is the order of the contract's section 7
// for the samples that the run asked for when it began. Where a run goes on for longer, a further
// segment follows: every file of the list is an endless stream of samples (all of the sample index
// of the first segment, then those of further indices with the next seeds), of which each segment
// takes the next ones, so that no sample is left out and none comes twice within an epoch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "data/batch.h"

namespace borealis {

struct DataSegment {
  int64_t samples = 0;        // asked for
  int64_t train_samples = 0;  // asked of the training split then: divides weights of corpora

  bool operator==(const DataSegment&) const = default;
};

struct SplitOrder {
  int64_t begin = 0;  // samples that were consumed before, of other data
  std::vector<DataSegment> segments;

  bool operator==(const SplitOrder&) const = default;
};

struct DataOrder {
  SplitOrder train;
  SplitOrder valid;

  bool operator==(const DataOrder&) const = default;
};

// What decides the order: two runs of equal identities and orders see the same samples.
struct DataIdentity {
  struct File {
    double weight = 0;
    std::string corpus;  // empty: a prefix that stands alone
    int64_t sequences = 0;
    int64_t tokens = 0;
    bool operator==(const File&) const = default;
  };
  bool mock = false;
  std::string split;
  int64_t exact_epochs = 0;  // of the training data; 0: as the samples need
  bool shuffle_in_corpus = false;
  bool blend_in_corpus = false;
  std::vector<File> files;  // in the order of the list

  bool operator==(const DataIdentity&) const = default;
};
// Opens the data list's files; throws what describe_data would.
DataIdentity data_identity(const RunConfig& config);

// Samples that a run has consumed of its two streams.
struct ConsumedSamples {
  int64_t train = 0;
  int64_t valid = 0;
};

// Those that it will have consumed of training or validation data at its end, after `iteration`
// steps (of another global batch, maybe) with `consumed`; 0 for a split that it does not use.
int64_t samples_at_the_end(const RunConfig& config, Split split, int64_t iteration,
                           const ConsumedSamples& consumed);

// Of a run that begins, or after `iteration` steps goes on with other data from `consumed` on: one
// segment a split, of what is left to consume.
DataOrder new_data_order(const RunConfig& config, int64_t iteration = 0,
                         const ConsumedSamples& consumed = {});

// `begun` with another segment for each split of which `config` asks for more than it holds from
// `consumed` on. `iteration`: steps done.
DataOrder extended_data_order(const RunConfig& config, DataOrder begun, int64_t iteration,
                              const ConsumedSamples& consumed);

}  // namespace borealis
