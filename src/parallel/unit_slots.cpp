#include "parallel/unit_slots.h"

#include <algorithm>

#include "base/check.h"

namespace borealis {
namespace {

bool is_tied(const ParameterTable& table) {
  return std::ranges::none_of(table.entries(),
                              [](const Parameter& p) { return p.kind == ParameterKind::kHead; });
}

int64_t room_of(const Partition& partition, size_t unit) {
  return partition.shards() == 0 ? 0 : partition.cuts()[unit].part * partition.shards();
}

UnitSlots of_units(std::vector<size_t> slot_of_unit, const Partition& partition,
                   const Partition& secondary = {}) {
  CHECK(slot_of_unit.size() >= 2);
  UnitSlots slots{std::move(slot_of_unit), {}};
  for (size_t unit = 0; unit < slots.slot_of_unit.size(); ++unit) {
    const size_t slot = slots.slot_of_unit[unit];
    if (slot == UnitSlots::kNone) continue;
    if (slots.elements.size() <= slot) slots.elements.resize(slot + 1);
    slots.elements[slot] =
        std::max({slots.elements[slot], room_of(partition, unit), room_of(secondary, unit)});
  }
  return slots;
}

}  // namespace

UnitSlots weight_slots(const ParameterTable& table, const Partition& partition,
                       const Partition& secondary) {
  constexpr size_t kLayerSlots = 2, kEnds = 2, kTiedHead = 3;
  std::vector<size_t> slots(table.units().size());
  for (size_t unit = 1; unit + 1 < slots.size(); ++unit) slots[unit] = unit % kLayerSlots;
  slots.front() = kEnds;
  slots.back() = is_tied(table) ? kTiedHead : kEnds;
  return of_units(std::move(slots), partition, secondary);
}

UnitSlots gradient_slots(const ParameterTable& table, const Partition& partition,
                         bool embedding_by_rows) {
  constexpr size_t kEnds = 0, kLayerSlots = 2, kTiedEmbedding = 2;
  std::vector<size_t> slots(table.units().size(), kEnds);
  const size_t head = slots.size() - 1;
  for (size_t unit = 1; unit < head; ++unit) slots[unit] = (head - unit) % kLayerSlots;
  if (embedding_by_rows) {
    slots.front() = UnitSlots::kNone;
  } else if (is_tied(table)) {
    slots.front() = kTiedEmbedding;
  }
  return of_units(std::move(slots), partition);
}

}  // namespace borealis
