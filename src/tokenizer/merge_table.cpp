#include "tokenizer/merge_table.h"

#include <bit>

namespace borealis {

MergeTable::MergeTable(const std::vector<Merge>& merges) {
  const size_t size = std::bit_ceil(2 * merges.size() + 2);
  shift_ = 64 - std::countr_zero(size);
  entries_.resize(size);
  ranks_ = static_cast<int64_t>(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right, result] = merges[rank];
    entries_[slot(left, right)] = {left, right, static_cast<int32_t>(rank), result};
  }
}

}  // namespace borealis
