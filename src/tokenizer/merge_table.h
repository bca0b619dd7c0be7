// From a pair of adjacent pieces to its merge: an open hash table, never more than half full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer_definition.h"

namespace borealis {

class MergeTable {
 public:
  struct Entry {
    int32_t left = kEmpty;
    int32_t right = kEmpty;
    int32_t rank = 0;
    int32_t result = 0;
  };
  // A pair that is listed twice has its last rank.
  explicit MergeTable(const std::vector<Merge>& merges);
  int64_t ranks() const { return ranks_; }  // one more than the highest

  // nullptr: the two do not merge.
  const Entry* find(int32_t left, int32_t right) const {
    const Entry& entry = entries_[slot(left, right)];
    return entry.left == kEmpty ? nullptr : &entry;
  }

 private:
  static constexpr int32_t kEmpty = -1;
  // The slot that holds the pair, or the empty one where it belongs.
  size_t slot(int32_t left, int32_t right) const {
    const uint64_t pair =
        (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
    size_t place = (pair * 0x9E3779B97F4A7C15u) >> shift_;
    while (entries_[place].left != kEmpty &&
           (entries_[place].left != left || entries_[place].right != right)) {
      place = (place + 1) & (entries_.size() - 1);
    }
    return place;
  }

  std::vector<Entry> entries_;
  int shift_ = 0;
  int64_t ranks_ = 0;
};

}  // namespace borealis
