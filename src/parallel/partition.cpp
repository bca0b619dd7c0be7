#include "parallel/partition.h"

#include "base/check.h"

namespace borealis {

Partition::Partition(const ParameterTable& table, int64_t shards)
    : pieces_(static_cast<size_t>(shards)) {
  CHECK(shards >= 1);
  for (const ParameterUnit& unit : table.units()) cut(table, unit);
}

void Partition::cut(const ParameterTable& table, const ParameterUnit& unit) {
  const int64_t blocks = (unit.elements + kBlockElements - 1) / kBlockElements;
  const int64_t part = std::min(unit.elements, (blocks + shards() - 1) / shards() * kBlockElements);
  const UnitCut cut{unit.offset, unit.elements, part, shard_elements_};
  for (int64_t shard = 0; shard < shards(); ++shard) {
    const int64_t first = unit.offset + cut.begin(shard), last = unit.offset + cut.end(shard);
    for (size_t entry = unit.first; entry < unit.end; ++entry) {
      const Parameter& parameter = table.entries()[entry];
      const int64_t begin = std::max(first, parameter.offset);
      const int64_t end = std::min(last, parameter.offset + parameter.size());
      if (begin >= end) continue;
      pieces_[static_cast<size_t>(shard)].push_back({entry, begin - parameter.offset,
                                                     end - parameter.offset,
                                                     cut.shard_offset + begin - first});
    }
  }
  cuts_.push_back(cut);
  shard_elements_ += part;
}

const std::vector<ShardPiece>& Partition::pieces(int64_t shard) const {
  CHECK(shard >= 0 && shard < shards());
  return pieces_[static_cast<size_t>(shard)];
}

}  // namespace borealis
