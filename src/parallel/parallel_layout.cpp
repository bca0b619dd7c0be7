#include "parallel/parallel_layout.h"

#include "base/check.h"

namespace borealis {

ParallelLayout make_parallel_layout(const ParallelConfig& parallel, int64_t rank) {
  CHECK(rank >= 0 && rank < parallel.world_size);
  CHECK(parallel.tensor_parallel_size * parallel.sequence_parallel_size *
            parallel.data_parallel_size() * parallel.pipeline_parallel_size ==
        parallel.world_size);
  ParallelLayout layout{.rank = rank};
  int64_t rest = rank;
  const auto take = [&rest](int64_t size) {
    const int64_t place = rest % size;
    rest /= size;
    return place;
  };
  layout.tensor_parallel_rank = take(parallel.tensor_parallel_size);
  layout.sequence_parallel_rank = take(parallel.sequence_parallel_size);
  layout.data_parallel_rank = take(parallel.data_parallel_size());
  layout.pipeline_parallel_rank = take(parallel.pipeline_parallel_size);
  layout.replica =
      layout.data_parallel_rank * parallel.sequence_parallel_size + layout.sequence_parallel_rank;
  return layout;
}

}  // namespace borealis
