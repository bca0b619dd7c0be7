// Softmax cross entropy over a vocabulary that is visited in column blocks, so that the logits of
// all of it never exist at once: loss = log(row_sum) + row_shift - target_logit.
//   logits [rows, cols] f32 with leading dimension ld >= cols; first_column is the vocabulary id of
//   the block's column 0. Rows are split over OpenMP threads. NaN and +inf logits make row_sum NaN.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace borealis {

// A row with this target has neither loss nor gradient (PyTorch's ignore_index).
inline constexpr int32_t kNoTarget = -100;

// Running sum of exp(logit - row_shift) (Milakov & Gimelshein 2018), where row_shift is near the
// row's maximum so far: it follows the maximum of a block only where that is more than
// kShiftSlack above it, so that most rows keep the shift of their first block. exp(kShiftSlack)
// times any vocabulary is far within the range of f32 and bf16.
//   row_shift [rows] starts at -inf, row_sum [rows] at 0.
inline constexpr float kShiftSlack = 32;
void online_softmax_update(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                           float* row_shift, float* row_sum);

// target_logit[r] = logits[r, targets[r] - first_column] where that column is in the block; other
// entries keep their value.
void gather_target_logits(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                          const int32_t* targets, int64_t first_column, float* target_logit);

// In place: logits -> (exp(logit - row_shift) / row_sum - onehot(target)) * scale, with the final
// row_shift and row_sum. A target outside the block (or negative) adds no onehot here; kNoTarget
// makes the row zero.
void cross_entropy_gradient(float* logits, int64_t rows, int64_t cols, int64_t ld,
                            const float* row_shift, const float* row_sum, const int32_t* targets,
                            int64_t first_column, float scale);

// The same two steps for products of bf16, with half the memory, one exponential fewer and, for
// most rows, no second pass. The first also keeps p[r, c] = exp(logit - block_shift[r]) rounded to
// bf16, where block_shift is row_shift as it is after this block. The second, once all blocks are
// known, turns p into exp(logit - row_shift) - onehot(target) * row_sum, which is the gradient but
// for a factor of scale / row_sum[r] of the row: it touches only the target's element, and the rows
// whose shift has moved since. The target's element comes from its f32 logit, because p - row_sum
// of a rounded p would lose all its digits where the target is nearly certain.
//   p [rows, cols] with leading dimension ldp.
void online_softmax_update_keeping(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                                   bf16* p, int64_t ldp, float* row_shift, float* row_sum,
                                   float* block_shift);
void cross_entropy_gradient_from_kept(bf16* p, int64_t rows, int64_t cols, int64_t ldp,
                                      const float* block_shift, const float* row_shift,
                                      const float* row_sum, const float* target_logit,
                                      const int32_t* targets, int64_t first_column);

}  // namespace borealis
