// The memory that units take turns in where a rank keeps only its shard of them (ZeRO 2 and 3). The
// first unit is the embedding, the last the final norm with the head, between them lie the layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "parallel/partition.h"
#include "tensor/parameter_table.h"

namespace borealis {

struct UnitSlots {
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  std::vector<size_t> slot_of_unit;  // kNone: the unit needs none
  std::vector<int64_t> elements;     // of each slot: room for a unit of all shards' parts
};

// Of gathered weights: a layer's and the next one's, which is gathered meanwhile, and one for the
// embedding and the head, which are never needed at the same time, unless they share a matrix.
// secondary: another partition that they are gathered from; of no shards: there is none.
UnitSlots weight_slots(const ParameterTable& table, const Partition& partition,
                       const Partition& secondary);
// Of gradients before they are added up: a layer's and, while they are, those of the one before it;
// the head and the embedding share the slot that the last layer does not have. One more for a tied
// embedding, whose gradient has parts from both ends of the backward pass. embedding_by_rows: it
// needs none.
UnitSlots gradient_slots(const ParameterTable& table, const Partition& partition,
                         bool embedding_by_rows);

}  // namespace borealis
