#include "parallel/partition.h"

#include "base/check.h"
#include "base/rounding.h"

namespace borealis {

Partition::Partition(const ParameterTable& table, int64_t shards) : shards_(shards) {
  CHECK(shards >= 1);
  for (const Parameter& parameter : table.entries()) {
    places_.push_back({parameter.offset, parameter.size()});
  }
  for (const ParameterUnit& unit : table.units()) {
    const int64_t blocks = divide_up(unit.elements, kBlockElements);
    const int64_t part = std::min(unit.elements, divide_up(blocks, shards) * kBlockElements);
    units_.push_back(unit);
    cuts_.push_back({unit.offset, unit.elements, part, shard_elements_});
    shard_elements_ += part;
  }
}

std::vector<ShardPiece> Partition::pieces(int64_t shard) const {
  CHECK(shard >= 0 && shard < shards());
  std::vector<ShardPiece> pieces;
  for (size_t unit = 0; unit < units_.size(); ++unit) {
    const UnitCut& cut = cuts_[unit];
    const int64_t first = cut.offset + cut.begin(shard), last = cut.offset + cut.end(shard);
    for (size_t entry = units_[unit].first; entry < units_[unit].end; ++entry) {
      const Place& place = places_[entry];
      const int64_t begin = std::max(first, place.offset);
      const int64_t end = std::min(last, place.offset + place.size);
      if (begin >= end) continue;
      pieces.push_back(
          {entry, begin - place.offset, end - place.offset, cut.shard_offset + begin - first});
    }
  }
  return pieces;
}

}  // namespace borealis
