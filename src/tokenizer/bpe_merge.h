// Applies the merges of a byte-pair encoding to one word.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace borealis {

struct Merge {
  int32_t rank = 0;
  int32_t id = 0;  // of the merged piece
};

inline uint64_t merge_key(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}
using MergeTable = std::unordered_map<uint64_t, Merge>;

// Merges adjacent pairs, the lowest rank first and the leftmost of equals, until none is left.
// O(n log n) in the length of the word.
void apply_merges(const MergeTable& merges, std::vector<int32_t>& symbols);

}  // namespace borealis
