#include "parallel/partition.h"

#include <gtest/gtest.h>

#include "model/parameter_layout.h"
#include "support/small_models.h"

namespace borealis {
namespace {

TEST(Partition, OneShardHasTheTablesOwnLayout) {
  const ParameterTable table = make_parameter_table(testing::small_llama(2));
  const Partition partition(table, 1);
  EXPECT_EQ(partition.shard_elements(), table.buffer_elements());
  const auto pieces = partition.pieces(0);
  ASSERT_EQ(pieces.size(), table.entries().size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].parameter, i);
    EXPECT_EQ(pieces[i].begin, 0);
    EXPECT_EQ(pieces[i].end, table.entries()[i].size());
    EXPECT_EQ(pieces[i].offset, table.entries()[i].offset);
  }
}

// Whatever the number of shards: each element is owned once, within its shard's buffer, and no two
// of a shard share a place.
TEST(Partition, EveryElementIsOwnedOnce) {
  ModelConfig model = testing::small_llama(3);
  model.hidden_size = 28;  // units that are no multiple of the shards
  model.num_attention_heads = 2;
  model.num_key_value_heads = 1;
  model.head_dim = 6;
  model.intermediate_size = 17;
  for (const bool tied : {false, true}) {
    model.tie_word_embeddings = tied;
    const ParameterTable table = make_parameter_table(model);
    for (const int64_t shards : {2, 3, 5, 8, 64}) {
      const Partition partition(table, shards);
      std::vector<std::vector<int>> owners(table.entries().size());
      for (size_t i = 0; i < owners.size(); ++i) {
        owners[i].resize(static_cast<size_t>(table.entries()[i].size()));
      }
      for (int64_t shard = 0; shard < shards; ++shard) {
        int64_t free_from = 0;
        for (const ShardPiece& piece : partition.pieces(shard)) {
          EXPECT_GE(piece.offset, free_from);
          free_from = piece.offset + piece.size();
          for (int64_t i = piece.begin; i < piece.end; ++i) {
            ++owners[piece.parameter][static_cast<size_t>(i)];
          }
        }
        EXPECT_LE(free_from, partition.shard_elements());
      }
      for (const auto& of_parameter : owners) {
        for (const int count : of_parameter) ASSERT_EQ(count, 1);
      }
      // Padding is less than a block a unit and shard.
      const auto padding = partition.shard_elements() * shards - table.buffer_elements();
      EXPECT_LE(padding, std::ssize(table.units()) * shards * Partition::kBlockElements);
    }
  }
}

// The parts of a unit, one behind the other, are the unit.
TEST(Partition, CutsAreContiguous) {
  const ParameterTable table = make_parameter_table(testing::small_llama(2));
  for (const int64_t shards : {1, 2, 3, 7}) {
    const Partition partition(table, shards);
    ASSERT_EQ(partition.cuts().size(), table.units().size());
    int64_t shard_offset = 0;
    for (size_t unit = 0; unit < partition.cuts().size(); ++unit) {
      const UnitCut& cut = partition.cuts()[unit];
      EXPECT_EQ(cut.offset, table.units()[unit].offset);
      EXPECT_EQ(cut.shard_offset, shard_offset);
      int64_t next = 0;
      for (int64_t shard = 0; shard < shards; ++shard) {
        EXPECT_EQ(cut.begin(shard), next);
        EXPECT_LE(cut.size(shard), cut.part);
        next = cut.end(shard);
      }
      EXPECT_EQ(next, table.units()[unit].elements);
      shard_offset += cut.part;
    }
    EXPECT_EQ(shard_offset, partition.shard_elements());
  }
}

TEST(Partition, UnitsAreTheEmbeddingTheLayersAndTheHead) {
  const ParameterTable table = make_parameter_table(testing::small_llama(2));
  ASSERT_EQ(table.units().size(), 4u);
  EXPECT_EQ(table.units()[0].name, "embedding");
  EXPECT_EQ(table.units()[2].name, "layer 1");
  EXPECT_EQ(table.units()[3].name, "head");
  EXPECT_EQ(table.entries_of(table.units()[3]).front().name, "model.norm.weight");
  int64_t offset = 0;
  for (const ParameterUnit& unit : table.units()) {
    EXPECT_EQ(unit.offset, offset);
    offset += unit.elements;
  }
  EXPECT_EQ(offset, table.buffer_elements());
}

}  // namespace
}  // namespace borealis
