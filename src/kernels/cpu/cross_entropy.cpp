#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cross_entropy.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/cross_entropy.h"

#include <algorithm>
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

// p = exp(logits - max), rounded; returns the sum before rounding.
float logits_row_exp_keep(const float* logits, int64_t cols, float max, bf16* p) {
  const F32 d;
  const float lowest = -std::numeric_limits<float>::infinity();
  const auto shift = hn::Set(d, max);
  return sum_columns(d, cols, [&](int64_t i, auto width, F32Vec sum) HWY_ATTR {
    const auto logit = fill_padding(d, load(d, logits + i, width), width, lowest);
    const auto e = exp_f32(d, hn::Sub(logit, shift));
    store(d, e, p + i, width);
    return hn::Add(sum, e);
  });
}

void probabilities_row_scale(bf16* p, int64_t cols, float factor) {
  const F32 d;
  const auto scale = hn::Set(d, factor);
  for_columns(d, cols, [&](int64_t i, auto width) HWY_ATTR {
    store(d, hn::Mul(load(d, p + i, width), scale), p + i, width);
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
HWY_EXPORT(logits_row_exp_keep);
HWY_EXPORT(probabilities_row_scale);

// Where the target's column is in a block of cols columns, or -1.
int64_t column_of(int32_t target, int64_t first_column, int64_t cols) {
  const int64_t column = target - first_column;
  return target >= 0 && column >= 0 && column < cols ? column : -1;
}

// One row's step: sum_of(block, shift) is the sum of exp(logit - shift).
template <class SumOf>
void online_softmax_row(const float* block, int64_t cols, float& row_max, float& row_sum,
                        const SumOf& sum_of) {
  const float lowest = -std::numeric_limits<float>::infinity();
  const float max = std::max(row_max, HWY_DYNAMIC_DISPATCH(logits_row_max)(block, cols));
  // A NaN is lost in a maximum but not in the sum; all -inf leaves (or gives, from NaN) a zero max.
  const float shift = max == lowest ? 0.0f : max;
  row_sum = row_sum * std::exp(row_max - shift) + sum_of(block, shift);
  row_max = max;
}

}  // namespace

void online_softmax_update(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                           float* row_max, float* row_sum) {
  const auto sum_kernel = HWY_DYNAMIC_DISPATCH(logits_row_exp_sum);
  for_each_row(rows, cols, [&](int64_t row) {
    online_softmax_row(
        logits + row * ld, cols, row_max[row], row_sum[row],
        [&](const float* block, float shift) { return sum_kernel(block, cols, shift); });
  });
}

void online_softmax_update_keeping(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                                   bf16* p, int64_t ldp, float* row_max, float* row_sum,
                                   float* block_max) {
  const auto keep_kernel = HWY_DYNAMIC_DISPATCH(logits_row_exp_keep);
  for_each_row(rows, cols, [&](int64_t row) {
    online_softmax_row(logits + row * ld, cols, row_max[row], row_sum[row],
                       [&](const float* block, float shift) {
                         return keep_kernel(block, cols, shift, p + row * ldp);
                       });
    block_max[row] = row_max[row];
  });
}

void cross_entropy_gradient_from_kept(bf16* p, int64_t rows, int64_t cols, int64_t ldp,
                                      const float* block_max, const float* row_max,
                                      const float* row_sum, const float* target_logit,
                                      const int32_t* targets, int64_t first_column, float scale) {
  const auto scale_kernel = HWY_DYNAMIC_DISPATCH(probabilities_row_scale);
  for_each_row(rows, cols, [&](int64_t row) {
    if (targets[row] == kNoTarget) {
      std::fill_n(p + row * ldp, cols, bf16());
      return;
    }
    const float factor = std::exp(block_max[row] - row_max[row]) / row_sum[row];
    scale_kernel(p + row * ldp, cols, factor * scale);
    const int64_t column = column_of(targets[row], first_column, cols);
    if (column >= 0) {
      const float probability = std::exp(target_logit[row] - row_max[row]) / row_sum[row];
      p[row * ldp + column] = bf16((probability - 1.0f) * scale);
    }
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
    if (targets[row] == kNoTarget) {
      std::fill_n(block, cols, 0.0f);
      return;
    }
    softmax_kernel(block, cols, row_max[row], scale / row_sum[row]);
    const int64_t column = column_of(targets[row], first_column, cols);
    if (column >= 0) block[column] -= scale;
  });
}

}  // namespace borealis
#endif
