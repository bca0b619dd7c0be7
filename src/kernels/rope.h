// Rotary position embedding (Su et al. 2021) in the half-split form: elements j and j + C/2 of a
// head are one pair, turned by the angle position * theta^(-2j/C).
//   C head_dim (even), T positions of the table.
#pragma once

#include <cstdint>
#include <vector>

#include "base/dtype.h"

namespace borealis {

// Llama 3.1's stretching of the long wavelengths (Hugging Face: rope_type "llama3").
struct RopeScalingParameters {
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
};

struct RopeTable {
  std::vector<float> cos;  // [T, C/2]
  std::vector<float> sin;  // [T, C/2]
  int64_t seq_length = 0;  // T
  int64_t half_dim = 0;    // C/2
};

// scaling may be nullptr. cos and sin are rounded to `rounding`, the dtype of the activations, as
// the models are trained with; pass DType::kF32 for none. Angles are f32, as in Hugging Face.
RopeTable make_rope_table(double theta, const RopeScalingParameters* scaling, int64_t head_dim,
                          int64_t seq_length, DType rounding);

// Turns, in place, the first num_heads heads of each row of qk.
//   qk [rows, row_stride] with rows = B * T: heads [num_heads, head_dim] at the start of each row,
//   the rest (values) untouched. The position of a row is positions[row] where they are given,
//   else row % table.seq_length + position_offset, which must lie inside the table (CHECK; given
//   positions are the caller's to check). T is float or bf16, arithmetic f32.
template <typename T>
void rope_forward(T* qk, int64_t rows, int64_t row_stride, int64_t num_heads, int64_t head_dim,
                  const RopeTable& table, int64_t position_offset = 0,
                  const int32_t* positions = nullptr);

// The same for heads [first_head, first_head + num_heads) of rows [first_row, first_row + rows), by
// the calling thread alone: for the epilogue of the product that makes qk.
struct RopeBlock {
  int64_t first_row = 0, rows = 0, first_head = 0, num_heads = 0;
};
template <typename T>
void rope_forward_block(T* qk, int64_t row_stride, const RopeBlock& block, const RopeTable& table,
                        const int32_t* positions = nullptr);

// The transpose of rope_forward: turns gradients back by the same angles.
template <typename T>
void rope_backward(T* dqk, int64_t rows, int64_t row_stride, int64_t num_heads, int64_t head_dim,
                   const RopeTable& table, int64_t position_offset = 0,
                   const int32_t* positions = nullptr);

}  // namespace borealis
