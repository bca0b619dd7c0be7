// A unit's parts, by the shard that owns them, where the unit lies as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "parallel/partition.h"

namespace borealis {

// unit: [cut.elements * width]; an element is `width` of T: as many bytes as it has, or 1.
template <typename T>
std::vector<std::span<T>> unit_parts(T* unit, const UnitCut& cut, int64_t shards,
                                     int64_t width = 1) {
  std::vector<std::span<T>> parts;
  for (int64_t shard = 0; shard < shards; ++shard) {
    parts.emplace_back(unit + cut.begin(shard) * width,
                       static_cast<size_t>(cut.size(shard) * width));
  }
  return parts;
}

}  // namespace borealis
