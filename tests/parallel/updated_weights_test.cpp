#include "parallel/updated_weights.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <thread>

#include "comm/in_process.h"
#include "model/run_layout.h"
#include "support/late_weights.h"
#include "support/small_models.h"

namespace borealis {
namespace {

RunConfig updated_config(int64_t ranks) {
  RunConfig config;
  config.dtype = DType::kF32;
  config.model = testing::small_llama(3);
  config.batch.seq_length = 16;
  config.parallel.world_size = ranks;
  config.parallel.zero_stage = 1;
  return config;
}

struct UpdatingRank {
  UpdatingRank(Communicator& all, const RunConfig& config)
      : rank(all.rank()),
        layout(make_run_layout(config, 1)),
        arenas(allocate_training_arenas(layout)),
        buffers(layout, arenas) {
    updated.emplace(all, buffers.parameters, layout.partition, nullptr);
  }

  float* weights(const UnitCut& cut) { return buffers.parameters.weight_at<float>(cut.offset); }
  void update_own_part() {
    for (const UnitCut& cut : layout.partition.cuts()) {
      for (int64_t i = 0; i < cut.size(rank); ++i) {
        weights(cut)[cut.begin(rank) + i] = static_cast<float>(cut.begin(rank) + i);
      }
    }
  }
  void expect_whole(size_t unit) {
    const UnitCut& cut = layout.partition.cuts()[unit];
    for (int64_t i = 0; i < cut.elements; ++i) {
      ASSERT_EQ(weights(cut)[i], static_cast<float>(i)) << "rank " << rank << ", unit " << unit;
    }
  }

  int64_t rank;
  RunLayout layout;
  TrainingArenas arenas;
  TrainingBuffers buffers;
  std::optional<UpdatedWeights> updated;
};

TEST(UpdatedWeights, EveryUnitIsWholeOnceItIsHeld) {
  run_in_process(3, [](Communicator& ranks) {
    testing::LateWeights late(ranks);
    UpdatingRank mine(ranks.rank() == 1 ? late : ranks, updated_config(3));
    mine.update_own_part();
    mine.updated->gather();
    for (size_t unit = 0; unit < mine.layout.partition.cuts().size(); ++unit) {
      mine.updated->hold(unit);
      mine.expect_whole(unit);
    }
  });
}

// As when the ranks agree that a checkpoint could not be written: one that is further with
// gathering must not wait for what another has not begun and never would.
TEST(UpdatedWeights, RanksThatLeaveTogetherEndWhatTheyHaveBegun) {
  const auto leave = [](Communicator& ranks) {
    UpdatingRank mine(ranks, updated_config(2));
    mine.update_own_part();
    mine.updated->gather();
    if (ranks.rank() == 0) {
      mine.updated->hold(0);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // and the next has begun
    }
    mine.updated.reset();
    for (size_t unit = 0; unit < mine.layout.partition.cuts().size(); ++unit) {
      mine.expect_whole(unit);
    }
  };
  run_in_process(2, leave, {.seconds = 5});
}

}  // namespace
}  // namespace borealis
