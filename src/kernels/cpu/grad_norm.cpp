#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/grad_norm.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/grad_norm.h"

#include <array>

#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {

double block_sum_of_squares(const float* x, int64_t n) {
  const hn::ScalableTag<double> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d64));
  auto a0 = hn::Zero(d64), a1 = hn::Zero(d64), a2 = hn::Zero(d64), a3 = hn::Zero(d64);
  const auto step = [&](const float* p, auto& sum) HWY_ATTR {
    const auto value = hn::PromoteTo(d64, hn::LoadU(d32, p));
    sum = hn::MulAdd(value, value, sum);
  };
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    step(x + i, a0);
    step(x + i + lanes, a1);
    step(x + i + 2 * lanes, a2);
    step(x + i + 3 * lanes, a3);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d64, hn::Add(hn::Add(a0, a1), hn::Add(a2, a3))));
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(block_sum_of_squares);
}  // namespace

double sum_of_squares(const float* x, int64_t n) {
  const auto kernel = HWY_DYNAMIC_DISPATCH(block_sum_of_squares);
  constexpr int64_t kBlocksAtOnce = 1024;
  std::array<double, kBlocksAtOnce> partials;
  double total = 0;
  for (int64_t first = 0; first < n; first += kBlocksAtOnce * kSumBlock) {
    const int64_t count = std::min(n - first, kBlocksAtOnce * kSumBlock);
    for_each_chunk(count, kSumBlock, [&](int64_t at, int64_t size) {
      partials[static_cast<size_t>(at / kSumBlock)] = kernel(x + first + at, size);
    });
    const int64_t blocks = (count + kSumBlock - 1) / kSumBlock;
    for (int64_t block = 0; block < blocks; ++block) total += partials[static_cast<size_t>(block)];
  }
  return total;
}

}  // namespace borealis
#endif
