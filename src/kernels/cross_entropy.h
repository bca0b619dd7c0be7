// Softmax cross entropy over a vocabulary that is visited in column blocks, so that the logits of
// all of it never exist at once: loss = log(row_sum) + row_max - target_logit.
//   logits [rows, cols] f32 with leading dimension ld >= cols; first_column is the vocabulary id of
//   the block's column 0. Rows are split over OpenMP threads. NaN and +inf logits make row_sum NaN.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace borealis {

// A row with this target has neither loss nor gradient (PyTorch's ignore_index).
inline constexpr int32_t kNoTarget = -100;

// Running maximum and sum of exp(logit - row_max) (Milakov & Gimelshein 2018).
//   row_max [rows] starts at -inf, row_sum [rows] at 0.
void online_softmax_update(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                           float* row_max, float* row_sum);

// target_logit[r] = logits[r, targets[r] - first_column] where that column is in the block; other
// entries keep their value.
void gather_target_logits(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                          const int32_t* targets, int64_t first_column, float* target_logit);

// In place: logits -> (exp(logit - row_max) / row_sum - onehot(target)) * scale, with the final
// row_max and row_sum. A target outside the block (or negative) adds no onehot here; kNoTarget
// makes the row zero.
void cross_entropy_gradient(float* logits, int64_t rows, int64_t cols, int64_t ld,
                            const float* row_max, const float* row_sum, const int32_t* targets,
                            int64_t first_column, float scale);

// The same two steps for products of bf16, with half the memory and one exponential fewer. The
// first also keeps p[r, c] = exp(logit - block_max[r]) rounded to bf16, where block_max is row_max
// as it is after this block; the second, once all blocks are known, turns p into (p exp(block_max -
// row_max) / row_sum - onehot(target)) * scale. The target's own element comes from its f32 logit,
// because p - 1 of a rounded p would lose all its digits near p = 1.
//   p [rows, cols] with leading dimension ldp.
void online_softmax_update_keeping(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                                   bf16* p, int64_t ldp, float* row_max, float* row_sum,
                                   float* block_max);
void cross_entropy_gradient_from_kept(bf16* p, int64_t rows, int64_t cols, int64_t ldp,
                                      const float* block_max, const float* row_max,
                                      const float* row_sum, const float* target_logit,
                                      const int32_t* targets, int64_t first_column, float scale);

}  // namespace borealis
