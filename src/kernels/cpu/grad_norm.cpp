#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/grad_norm.cpp"
// clang-format off
#include "base/rounding.h"
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/grad_norm.h"

#include <algorithm>
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

constexpr int64_t kChunk = 64 * kSumBlock;  // of a thread at a time: a node of the tree

double serial_sum_of_squares(const float* x, int64_t n) {
  const auto kernel = HWY_DYNAMIC_DISPATCH(block_sum_of_squares);
  PairwiseSum sum;
  for (int64_t at = 0; at < n; at += kSumBlock)
    sum.add(kernel(x + at, std::min(kSumBlock, n - at)));
  return sum.total();
}

// The PairwiseSum of term(i), i < count, of which each reads so many elements; a bounded number of
// terms at a time.
template <typename Term>
double sum_of_terms(int64_t count, int64_t elements, const Term& term) {
  constexpr int64_t kAtOnce = 1024;
  std::array<double, kAtOnce> terms;
  PairwiseSum sum;
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t some = std::min(count - first, kAtOnce);
    for_each_row(some, elements,
                 [&](int64_t i) { terms[static_cast<size_t>(i)] = term(first + i); });
    for (int64_t i = 0; i < some; ++i) sum.add(terms[static_cast<size_t>(i)]);
  }
  return sum.total();
}
}  // namespace

double sum_of_squares(const float* x, int64_t n) {
  return sum_of_terms(divide_up(n, kChunk), kChunk, [x, n](int64_t i) {
    return serial_sum_of_squares(x + i * kChunk, std::min(kChunk, n - i * kChunk));
  });
}

double sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows,
                              int64_t row_size) {
  return sum_of_terms(std::ssize(rows), row_size, [&](int64_t i) {
    return serial_sum_of_squares(matrix + rows[static_cast<size_t>(i)] * row_size, row_size);
  });
}

}  // namespace borealis
#endif
