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

#ifndef BOREALIS_CROSS_ENTROPY_ONCE_
#define BOREALIS_CROSS_ENTROPY_ONCE_
namespace borealis {
namespace cross_entropy_detail {

struct RowSum {
  float sum;  // of exp(logit - shift)
  float max;  // of the logits; a NaN may be lost in it, but not in the sum
};

}  // namespace cross_entropy_detail
}  // namespace borealis
#endif

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

namespace {

struct SumAndMax {
  F32Vec sum, max;
};

// keep(i, width, e) gets each exp(logit - shift).
template <class Keep>
cross_entropy_detail::RowSum row_exp_sum(const float* logits, int64_t cols, float shift,
                                         const Keep& keep) {
  const F32 d;
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto shifts = hn::Set(d, shift);
  const auto term = [&](int64_t i, auto width, SumAndMax so_far) HWY_ATTR {
    const auto logit = fill_padding(d, load(d, logits + i, width), width, hn::GetLane(lowest));
    const auto e = exp_f32(d, hn::Sub(logit, shifts));
    keep(i, width, e);
    return SumAndMax{hn::Add(so_far.sum, e), hn::Max(so_far.max, logit)};
  };
  const auto merge = [](SumAndMax a, SumAndMax b) HWY_ATTR {
    return SumAndMax{hn::Add(a.sum, b.sum), hn::Max(a.max, b.max)};
  };
  const SumAndMax all = reduce_columns(d, cols, SumAndMax{hn::Zero(d), lowest}, term, merge);
  return {hn::GetLane(hn::SumOfLanes(d, all.sum)), hn::GetLane(hn::MaxOfLanes(d, all.max))};
}

}  // namespace

cross_entropy_detail::RowSum logits_row_exp_sum(const float* logits, int64_t cols, float shift) {
  return row_exp_sum(logits, cols, shift, [](int64_t, auto, F32Vec) {});
}

// p = exp(logits - shift), rounded; the sum is that before rounding.
cross_entropy_detail::RowSum logits_row_exp_keep(const float* logits, int64_t cols, float shift,
                                                 bf16* p) {
  const F32 d;
  return row_exp_sum(logits, cols, shift,
                     [&](int64_t i, auto width, F32Vec e) HWY_ATTR { store(d, e, p + i, width); });
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

// One row's step: sum_of(shift) is the RowSum of the block.
template <class SumOf>
void online_softmax_row(const float* block, int64_t cols, float& row_shift, float& row_sum,
                        const SumOf& sum_of) {
  const float lowest = -std::numeric_limits<float>::infinity();
  float max;
  if (row_shift != lowest) {
    // Nearly always the shift can stay, and the maximum costs no pass of its own.
    const cross_entropy_detail::RowSum row = sum_of(row_shift);
    if (!(row.max > row_shift + kShiftSlack)) {
      row_sum += row.sum;
      return;
    }
    max = row.max;
  } else {
    max = HWY_DYNAMIC_DISPATCH(logits_row_max)(block, cols);
  }
  // Nothing but -inf (or NaN) leaves no shift.
  const float shift = max == lowest ? 0.0f : max;
  row_sum = row_sum * std::exp(row_shift - shift) + sum_of(shift).sum;
  row_shift = max;
}

}  // namespace

void online_softmax_update(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                           float* row_shift, float* row_sum) {
  const auto sum_kernel = HWY_DYNAMIC_DISPATCH(logits_row_exp_sum);
  for_each_row(rows, cols, [&](int64_t row) {
    online_softmax_row(logits + row * ld, cols, row_shift[row], row_sum[row],
                       [&](float shift) { return sum_kernel(logits + row * ld, cols, shift); });
  });
}

void online_softmax_update_keeping(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                                   bf16* p, int64_t ldp, float* row_shift, float* row_sum,
                                   float* block_shift) {
  const auto keep_kernel = HWY_DYNAMIC_DISPATCH(logits_row_exp_keep);
  for_each_row(rows, cols, [&](int64_t row) {
    online_softmax_row(logits + row * ld, cols, row_shift[row], row_sum[row], [&](float shift) {
      return keep_kernel(logits + row * ld, cols, shift, p + row * ldp);
    });
    block_shift[row] = row_shift[row];
  });
}

void cross_entropy_gradient_from_kept(bf16* p, int64_t rows, int64_t cols, int64_t ldp,
                                      const float* block_shift, const float* row_shift,
                                      const float* row_sum, const float* target_logit,
                                      const int32_t* targets, int64_t first_column) {
  const auto scale_kernel = HWY_DYNAMIC_DISPATCH(probabilities_row_scale);
  for_each_row(rows, cols, [&](int64_t row) {
    if (targets[row] == kNoTarget) {
      std::fill_n(p + row * ldp, cols, bf16());
      return;
    }
    if (block_shift[row] != row_shift[row]) {
      scale_kernel(p + row * ldp, cols, std::exp(block_shift[row] - row_shift[row]));
    }
    const int64_t column = column_of(targets[row], first_column, cols);
    if (column >= 0) {
      p[row * ldp + column] = bf16(std::exp(target_logit[row] - row_shift[row]) - row_sum[row]);
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
                            const float* row_shift, const float* row_sum, const int32_t* targets,
                            int64_t first_column, float scale) {
  const auto softmax_kernel = HWY_DYNAMIC_DISPATCH(logits_row_softmax);
  for_each_row(rows, cols, [&](int64_t row) {
    float* block = logits + row * ld;
    if (targets[row] == kNoTarget) {
      std::fill_n(block, cols, 0.0f);
      return;
    }
    softmax_kernel(block, cols, row_shift[row], scale / row_sum[row]);
    const int64_t column = column_of(targets[row], first_column, cols);
    if (column >= 0) block[column] -= scale;
  });
}

}  // namespace borealis
#endif
