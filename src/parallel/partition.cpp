#include "parallel/partition.h"

#include <algorithm>

#include "base/check.h"

namespace borealis {

Partition::Partition(const ParameterTable& table, int64_t shards)
    : pieces_(static_cast<size_t>(shards)) {
  CHECK(shards >= 1);
  for (const ParameterUnit& unit : table.units()) cut(table, unit);
}

void Partition::cut(const ParameterTable& table, const ParameterUnit& unit) {
  constexpr int64_t kLine = ParameterTable::kAlignmentElements;
  const int64_t lines = unit.elements / kLine;  // units are whole cache lines
  const int64_t part = (lines + shards() - 1) / shards() * kLine;
  for (int64_t shard = 0; shard < shards(); ++shard) {
    const int64_t first = unit.offset + shard * part, last = first + part;
    for (size_t entry = unit.first; entry < unit.end; ++entry) {
      const Parameter& parameter = table.entries()[entry];
      const int64_t begin = std::max(first, parameter.offset);
      const int64_t end = std::min(last, parameter.offset + parameter.size());
      if (begin >= end) continue;
      pieces_[static_cast<size_t>(shard)].push_back({entry, begin - parameter.offset,
                                                     end - parameter.offset,
                                                     shard_elements_ + begin - first});
    }
  }
  shard_elements_ += part;
}

const std::vector<ShardPiece>& Partition::pieces(int64_t shard) const {
  CHECK(shard >= 0 && shard < shards());
  return pieces_[static_cast<size_t>(shard)];
}

}  // namespace borealis
