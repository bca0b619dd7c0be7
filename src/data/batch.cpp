#include "data/batch.h"

#include <algorithm>

#include "kernels/cross_entropy.h"

namespace borealis {

int64_t Batch::loss_tokens() const {
  return static_cast<int64_t>(targets.size()) -
         std::count(targets.begin(), targets.end(), kNoTarget);
}

std::vector<int32_t> document_lengths(const Batch& batch) {
  std::vector<int32_t> lengths;
  const std::vector<int32_t>& starts = batch.document_starts;
  for (size_t i = 0; i < starts.size(); ++i) {
    const bool begins = static_cast<int64_t>(i) % (batch.seq_length * batch.parts) == starts[i];
    if (begins) lengths.push_back(0);
    ++lengths.back();
  }
  return lengths;
}

}  // namespace borealis
