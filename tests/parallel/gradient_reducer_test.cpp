#include "parallel/gradient_reducer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "comm/in_process.h"
#include "model/run_layout.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using namespace std::chrono_literals;

RunConfig reduced_config(int64_t stage, int64_t ranks) {
  RunConfig config;
  config.dtype = DType::kF32;
  config.model = testing::small_llama(4);
  config.batch.seq_length = 16;
  config.parallel.world_size = ranks;
  config.parallel.zero_stage = stage;
  return config;
}

struct ReducingRank {
  ReducingRank(Communicator& ranks, const RunConfig& config)
      : layout(make_run_layout(config, 1)),
        arenas(allocate_training_arenas(layout)),
        buffers(layout, arenas),
        reducer(ranks, buffers.parameters, layout.partition, buffers.sums, host_device()) {}

  const UnitCut& cut(size_t unit) const { return layout.partition.cuts()[unit]; }
  float* gradients(size_t unit) const { return buffers.parameters.gradient_at(cut(unit).offset); }
  void fill(size_t unit, float value) const {
    std::fill_n(gradients(unit), cut(unit).elements, value);
  }

  RunLayout layout;
  TrainingArenas arenas;
  TrainingBuffers buffers;
  GradientReducer reducer;
};

// Before anybody waits for it: the ranks go on with their backward pass meanwhile.
TEST(GradientReducer, AddsAUnitUpWhileOthersCompute) {
  run_in_process(3, [](Communicator& ranks) {
    ReducingRank rank(ranks, reduced_config(0, 3));
    rank.reducer.begin_micro_batch(/*first=*/true, /*last=*/true);
    constexpr size_t kUnit = 3;
    rank.fill(kUnit, static_cast<float>(ranks.rank() + 1));
    rank.reducer.hand_on(kUnit);
    const std::atomic_ref<float> last(rank.gradients(kUnit)[rank.cut(kUnit).elements - 1]);
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (last != 6 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(last, 6);
    rank.reducer.finish();
  });
}

// Of gradients that a rank keeps whole, those of all micro-batches are added up once.
TEST(GradientReducer, WholeGradientsWaitForTheLastMicroBatch) {
  run_in_process(2, [](Communicator& ranks) {
    ReducingRank rank(ranks, reduced_config(1, 2));
    const UnitCut& cut = rank.cut(2);
    rank.reducer.begin_micro_batch(/*first=*/true, /*last=*/false);
    rank.fill(2, 5);
    rank.reducer.hand_on(2);
    rank.reducer.finish();
    EXPECT_EQ(*rank.gradients(2), 5);
    rank.reducer.begin_micro_batch(/*first=*/false, /*last=*/true);
    rank.fill(2, 7);
    rank.reducer.hand_on(2);
    rank.reducer.finish();
    for (int64_t i = 0; i < cut.elements; ++i) {
      const bool owned = i >= cut.begin(ranks.rank()) && i < cut.end(ranks.rank());
      ASSERT_EQ(rank.gradients(2)[i], owned ? 14 : 7) << i;
    }
  });
}

// Sharded gradients of two layers may be on their way at a time: who needs the place of one of them
// waits until it is free.
TEST(GradientReducer, AUnitsPlaceIsWaitedForWhereItIsNeededAgain) {
  std::atomic<bool> other_has_come = false, first_is_ahead = false;
  run_in_process(2, [&](Communicator& ranks) {
    ReducingRank rank(ranks, reduced_config(2, 2));
    const float value = static_cast<float>(ranks.rank() + 1);
    rank.reducer.begin_micro_batch(/*first=*/true, /*last=*/true);
    ASSERT_EQ(rank.gradients(4), rank.gradients(2));
    ASSERT_NE(rank.gradients(4), rank.gradients(3));
    if (ranks.rank() == 1) {
      first_is_ahead.wait(false);
      std::this_thread::sleep_for(50ms);  // it would be there, if it did not wait
      other_has_come = true;
    }
    for (const size_t unit : {4, 3, 2}) {
      rank.reducer.hold(unit);
      if (ranks.rank() == 0) {
        EXPECT_EQ(other_has_come, unit == 2) << unit;
      }
      rank.fill(unit, value * static_cast<float>(unit));
      rank.reducer.hand_on(unit);
      if (ranks.rank() == 0 && unit == 3) {
        first_is_ahead = true;
        first_is_ahead.notify_one();
      }
    }
    rank.reducer.finish();
    for (const size_t unit : {4, 3, 2}) {
      const float* sums = rank.buffers.parameters.gradients + rank.cut(unit).shard_offset -
                          rank.buffers.places.shard_first_dense;
      for (int64_t i = 0; i < rank.cut(unit).size(ranks.rank()); ++i) {
        ASSERT_EQ(sums[i], 3 * static_cast<float>(unit)) << unit;
      }
    }
  });
}

// The second micro-batch adds to what the owners have.
TEST(GradientReducer, OwnersAccumulate) {
  run_in_process(2, [](Communicator& ranks) {
    ReducingRank rank(ranks, reduced_config(2, 2));
    for (const bool first : {true, false, true}) {
      rank.reducer.begin_micro_batch(first, !first);
      rank.reducer.hold(1);
      rank.fill(1, 2);
      rank.reducer.hand_on(1);
      rank.reducer.finish();
      const float* sums = rank.buffers.parameters.gradients + rank.cut(1).shard_offset -
                          rank.buffers.places.shard_first_dense;
      EXPECT_EQ(*sums, first ? 4 : 8);
    }
  });
}

TEST(GradientReducer, ALostRankEndsTheWaiting) {
  EXPECT_THROW(run_in_process(2,
                              [](Communicator& ranks) {
                                ReducingRank rank(ranks, reduced_config(0, 2));
                                rank.reducer.begin_micro_batch(true, true);
                                if (ranks.rank() == 1) throw std::runtime_error("lost");
                                rank.reducer.hand_on(2);
                                rank.reducer.hand_on(1);
                                rank.reducer.finish();
                              }),
               std::runtime_error);
}

}  // namespace
}  // namespace borealis
