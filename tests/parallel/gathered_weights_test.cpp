#include "parallel/gathered_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.h"
#include "comm/in_process.h"
#include "model/run_layout.h"
#include "support/expect_error.h"
#include "support/small_models.h"

namespace borealis {
namespace {

RunConfig gathered_config(int64_t ranks, int64_t secondary) {
  RunConfig config;
  config.dtype = DType::kF32;
  config.model = testing::small_llama(3);
  config.model.hidden_size = 28;  // units that are no multiple of either partition's shards
  config.model.num_attention_heads = 2;
  config.model.num_key_value_heads = 1;
  config.model.head_dim = 6;
  config.model.intermediate_size = 117;
  config.batch.seq_length = 16;
  config.parallel.world_size = ranks;
  config.parallel.zero_stage = 3;
  config.parallel.zero_hpz_partition_size = secondary;
  return config;
}

struct GatheringRank {
  GatheringRank(Communicator& all, const RunConfig& config)
      : ranks(all),
        layout(make_run_layout(config, 1)),
        arenas(allocate_training_arenas(layout)),
        buffers(layout, arenas),
        weights(all, buffers.parameters, layout.partition, layout.secondary) {}

  static float value_of(int64_t element, int64_t version) {
    return static_cast<float>(element % 4093 + 10000 * version);
  }
  void set_shard(int64_t version) {
    for (const UnitCut& cut : layout.partition.cuts()) {
      float* shard = buffers.parameters.weights_as<float>() + cut.shard_offset;
      for (int64_t i = 0; i < cut.size(ranks.rank()); ++i) {
        shard[i] = value_of(cut.offset + cut.begin(ranks.rank()) + i, version);
      }
    }
  }
  void expect_unit(size_t unit, int64_t version) {
    weights.hold(unit);
    const UnitCut& cut = layout.partition.cuts()[unit];
    const float* whole = buffers.parameters.weight_at<float>(cut.offset);
    for (int64_t i = 0; i < cut.elements; ++i) {
      ASSERT_EQ(whole[i], value_of(cut.offset + i, version)) << "unit " << unit;
    }
    weights.release(unit);
  }
  void expect_passes(int64_t version) {
    for (int pass = 0; pass < 2; ++pass) {
      weights.begin();
      for (size_t unit = 0; unit < 5; ++unit) expect_unit(unit, version);
      for (size_t unit = 5; unit-- > 0;) expect_unit(unit, version);
    }
  }

  Communicator& ranks;
  RunLayout layout;
  TrainingArenas arenas;
  TrainingBuffers buffers;
  GatheredWeights weights;
};

TEST(GatheredWeights, AreThoseOfAllShards) {
  for (const int64_t secondary : {1, 2, 3, 6}) {
    run_in_process(6, [&](Communicator& ranks) {
      GatheringRank rank(ranks, gathered_config(6, secondary));
      for (const int64_t version : {1, 2}) {
        rank.set_shard(version);
        rank.weights.forget();
        rank.expect_passes(version);
      }
    });
  }
}

// Shards that change behind its back show where weights come from: within a host they are those of
// the first gathering, until the owners say that they changed them.
TEST(GatheredWeights, ComeFromTheHostUntilAnUpdate) {
  for (const bool has_secondary : {false, true}) {
    run_in_process(4, [&](Communicator& ranks) {
      GatheringRank rank(ranks, gathered_config(4, has_secondary ? 2 : 1));
      rank.set_shard(1);
      rank.expect_unit(1, 1);
      rank.expect_unit(3, 1);  // takes the first one's slot
      rank.set_shard(2);
      ranks.barrier("changing");
      rank.expect_unit(1, has_secondary ? 1 : 2);
      rank.weights.forget();
      rank.expect_unit(1, 2);
    });
  }
}

TEST(GatheredWeights, SecondaryShardsTakeTheirShareOfTheWeights) {
  const auto weights_bytes = [](int64_t secondary) {
    const RunLayout layout = make_run_layout(gathered_config(8, secondary), 1);
    TrainingArenas arenas = TrainingArenas::measuring();
    const TrainingBuffers measured(layout, arenas);
    return arenas.weights.used_bytes();
  };
  const RunLayout layout = make_run_layout(gathered_config(8, 2), 1);
  const auto whole = layout.table.buffer_elements() * static_cast<int64_t>(sizeof(float));
  EXPECT_NEAR(static_cast<double>(weights_bytes(2) - weights_bytes(1)),
              static_cast<double>(whole) / 2, 5 * 4096 + 64);
}

TEST(GatheredWeights, SecondaryShardsDivideTheRanksOfAHost) {
  EXPECT_ERROR(
      run_in_process(6, [](Communicator& ranks) { GatheringRank(ranks, gathered_config(6, 4)); }),
      ErrorKind::kConfig, "ZERO_HPZ_PARTITION_SIZE=4 does not divide the 6 ranks of a host");
}

}  // namespace
}  // namespace borealis
