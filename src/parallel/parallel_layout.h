// The rank grid: which place a rank has on each parallel axis. Tensor parallelism varies fastest,
// so that its ranks are neighbours on a host; then sequence, data, and pipeline parallelism.
#pragma once

#include <cstdint>

#include "config/run_config.h"

namespace borealis {

struct ParallelLayout {
  int64_t rank = 0;
  int64_t tensor_parallel_rank = 0;
  int64_t sequence_parallel_rank = 0;
  int64_t data_parallel_rank = 0;
  int64_t pipeline_parallel_rank = 0;
  // Among the ranks that have the same parameters: which shard of the state is this one's.
  int64_t replica = 0;
};

// Requires 0 <= rank < world_size and sizes that multiply to the world size.
ParallelLayout make_parallel_layout(const ParallelConfig& parallel, int64_t rank);

}  // namespace borealis
