// Softmax cross entropy over a vocabulary that is visited in column blocks, so that the logits of
// all of it never exist at once: loss = log(row_sum) + row_max - target_logit.
//   logits [rows, cols] f32 with leading dimension ld >= cols; first_column is the vocabulary id of
//   the block's column 0. Rows are split over OpenMP threads. NaN and +inf logits make row_sum NaN.
#pragma once

#include <cstdint>

namespace borealis {

// Running maximum and sum of exp(logit - row_max) (Milakov & Gimelshein 2018).
//   row_max [rows] starts at -inf, row_sum [rows] at 0.
void online_softmax_update(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                           float* row_max, float* row_sum);

// target_logit[r] = logits[r, targets[r] - first_column] where that column is in the block; other
// entries keep their value.
void gather_target_logits(const float* logits, int64_t rows, int64_t cols, int64_t ld,
                          const int32_t* targets, int64_t first_column, float* target_logit);

// In place: logits -> (exp(logit - row_max) / row_sum - onehot(target)) * scale, with the final
// row_max and row_sum. A target outside the block (or negative) adds no onehot here.
void cross_entropy_gradient(float* logits, int64_t rows, int64_t cols, int64_t ld,
                            const float* row_max, const float* row_sum, const int32_t* targets,
                            int64_t first_column, float scale);

}  // namespace borealis
