#include "data/batch.h"

#include <algorithm>

#include "kernels/cross_entropy.h"

namespace borealis {

int64_t Batch::loss_tokens() const {
  return static_cast<int64_t>(targets.size()) -
         std::count(targets.begin(), targets.end(), kNoTarget);
}

}  // namespace borealis
