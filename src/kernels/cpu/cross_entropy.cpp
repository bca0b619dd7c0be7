#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cross_entropy.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {

float logits_row_max(const float* logits, int64_t cols) {
  const F32 d;
  const float lowest = -std::numeric_limits<float>::infinity();
  const auto larger = [](F32Vec a, F32Vec b) HWY_ATTR { return hn::Max(a, b); };
  const auto term = [&](int64_t i, auto width, F32Vec so_far) HWY_ATTR {
    return hn::Max(so_far, fill_padding(d, load(d, logits + i, width), width, lowest));
  };
  const auto lanes = reduce_columns(d, cols, hn::Set(d, lowest), term, larger);
  return hn::GetLane(hn::MaxOfLanes(d, lanes));
}

float logits_row_exp_sum(const float* logits, int64_t cols, float max) {
  const F32 d;
  const float lowest = -std::numeric_limits<float>::infinity();
  const auto shift = hn::Set(d, max);
  return sum_columns(d, cols, [&](int64_t i, auto width, F32Vec sum) HWY_ATTR {
    const auto logit = fill_padding(d, load(d, logits + i, width), width, lowest);
    return hn::Add(sum, exp_f32(d, hn::Sub(logit, shift)));
  });
}

// logits -> exp(logits - max) * factor
void logits_row_softmax(float* logits, int64_t cols, float max, float factor) {
  const F32 d;
  const auto shift = hn::Set(d, max);
  const auto scale = hn::Set(d, factor);
  for_columns(d, cols, [&](int64_t i, auto width) HWY_ATTR {
    const auto shifted = hn::Sub(load(d, logits + i, width), shift);
    store(d, hn::Mul(exp_f32(d, shifted), scale), logits + i, width);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(logits_row_max);
HWY_EXPORT(logits_row_exp_sum);
HWY_EXPORT(logits_row_softmax);

// Where the target's column is in a block of cols columns, or -1.
int64_t column_of(int32_t target, int64_t first_column, int64_t cols) {
  const int64_t column = target - first_column;
  return target >= 0 && column >= 0 && column < cols ? column : -1;
}

}  // namespace

void online_softmax_update(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                           float* row_max, float* row_sum) {
  const auto max_kernel = HWY_DYNAMIC_DISPATCH(logits_row_max);
  const auto sum_kernel = HWY_DYNAMIC_DISPATCH(logits_row_exp_sum);
  const float lowest = -std::numeric_limits<float>::infinity();
  for_each_row(rows, cols, [&](int64_t row) {
    const float* block = logits + row * ld;
    const float max = std::max(row_max[row], max_kernel(block, cols));
    // A NaN is lost in a maximum but not in the sum; all -inf leaves (or gives, from NaN) a zero
    // max.
    const float shift = max == lowest ? 0.0f : max;
    row_sum[row] = row_sum[row] * std::exp(row_max[row] - shift) + sum_kernel(block, cols, shift);
    row_max[row] = max;
  });
}

void gather_target_logits(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                          const int32_t* targets, int64_t first_column, float* target_logit) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t column = column_of(targets[row], first_column, cols);
    if (column >= 0) target_logit[row] = logits[row * ld + column];
  }
}

void cross_entropy_gradient(float* logits, int64_t rows, int64_t cols, int64_t ld,
                            const float* row_max, const float* row_sum, const int32_t* targets,
                            int64_t first_column, float scale) {
  const auto softmax_kernel = HWY_DYNAMIC_DISPATCH(logits_row_softmax);
  for_each_row(rows, cols, [&](int64_t row) {
    float* block = logits + row * ld;
    softmax_kernel(block, cols, row_max[row], scale / row_sum[row]);
    const int64_t column = column_of(targets[row], first_column, cols);
    if (column >= 0) block[column] -= scale;
  });
}

}  // namespace borealis
#endif
