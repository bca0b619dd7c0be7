#include "parallel/parallel_layout.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace borealis {
namespace {

TEST(ParallelLayout, OneRankIsTheOriginOfEveryAxis) {
  const ParallelLayout layout = make_parallel_layout({}, 0);
  EXPECT_EQ(layout.tensor_parallel_rank, 0);
  EXPECT_EQ(layout.data_parallel_rank, 0);
  EXPECT_EQ(layout.pipeline_parallel_rank, 0);
}

TEST(ParallelLayout, EveryRankHasAPlaceOfItsOwn) {
  const ParallelConfig parallel{.world_size = 24,
                                .tensor_parallel_size = 2,
                                .pipeline_parallel_size = 2,
                                .sequence_parallel_size = 3,
                                .zero_stage = 0};
  EXPECT_EQ(parallel.data_parallel_size(), 2);
  std::set<std::tuple<int64_t, int64_t, int64_t, int64_t>> places;
  for (int64_t rank = 0; rank < 24; ++rank) {
    const ParallelLayout at = make_parallel_layout(parallel, rank);
    places.insert({at.tensor_parallel_rank, at.sequence_parallel_rank, at.data_parallel_rank,
                   at.pipeline_parallel_rank});
  }
  EXPECT_EQ(places.size(), 24u);
  EXPECT_EQ(make_parallel_layout(parallel, 1).tensor_parallel_rank, 1);
  EXPECT_EQ(make_parallel_layout(parallel, 2).sequence_parallel_rank, 1);
  EXPECT_EQ(make_parallel_layout(parallel, 2).replica, 1);
  EXPECT_EQ(make_parallel_layout(parallel, 6).data_parallel_rank, 1);
  EXPECT_EQ(make_parallel_layout(parallel, 6).replica, 3);
  EXPECT_EQ(make_parallel_layout(parallel, 12).pipeline_parallel_rank, 1);
}

}  // namespace
}  // namespace borealis
