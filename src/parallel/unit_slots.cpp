#include "parallel/unit_slots.h"

#include <algorithm>

#include "base/check.h"

namespace borealis {
namespace {

bool is_tied(const ParameterTable& table) {
  return std::ranges::none_of(table.entries(),
                              [](const Parameter& p) { return p.kind == ParameterKind::kHead; });
}

UnitSlots of_units(const Partition& partition, std::vector<size_t> slot_of_unit) {
  CHECK(slot_of_unit.size() >= 2);
  UnitSlots slots{std::move(slot_of_unit), {}};
  for (size_t unit = 0; unit < slots.slot_of_unit.size(); ++unit) {
    const size_t slot = slots.slot_of_unit[unit];
    if (slot == UnitSlots::kNone) continue;
    if (slots.elements.size() <= slot) slots.elements.resize(slot + 1);
    const int64_t room = partition.cuts()[unit].part * partition.shards();
    slots.elements[slot] = std::max(slots.elements[slot], room);
  }
  return slots;
}

}  // namespace

UnitSlots weight_slots(const ParameterTable& table, const Partition& partition) {
  constexpr size_t kLayerSlots = 2, kEnds = 2, kTiedHead = 3;
  std::vector<size_t> slots(table.units().size());
  for (size_t unit = 1; unit + 1 < slots.size(); ++unit) slots[unit] = unit % kLayerSlots;
  slots.front() = kEnds;
  slots.back() = is_tied(table) ? kTiedHead : kEnds;
  return of_units(partition, std::move(slots));
}

UnitSlots gradient_slots(const ParameterTable& table, const Partition& partition,
                         bool embedding_by_rows) {
  std::vector<size_t> slots(table.units().size(), 0);
  if (embedding_by_rows) {
    slots.front() = UnitSlots::kNone;
  } else if (is_tied(table)) {
    slots.front() = 1;
  }
  return of_units(partition, std::move(slots));
}

}  // namespace borealis
