#include "kernels/gpu_shares.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>

namespace borealis {

std::vector<GpuShare> gpu_shares(std::span<const std::vector<GpuId>> seen) {
  std::vector<size_t> order(seen.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t rank) { return seen[rank].size(); });
  std::vector<GpuShare> shares(seen.size());
  std::map<GpuId, int64_t> ranks_of;
  for (const size_t rank : order) {
    if (seen[rank].empty()) continue;
    const auto taken =
        std::ranges::min_element(seen[rank], {}, [&](const GpuId& gpu) { return ranks_of[gpu]; });
    shares[rank].number = taken - seen[rank].begin();
    ++ranks_of[*taken];
  }
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    if (seen[rank].empty()) continue;
    shares[rank].ranks = ranks_of[seen[rank][static_cast<size_t>(shares[rank].number)]];
  }
  return shares;
}

}  // namespace borealis
