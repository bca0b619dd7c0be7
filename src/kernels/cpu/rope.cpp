#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rope.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/rope.h"

#include <cmath>
#include <numbers>

#include "base/check.h"
#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {

// Turns each head (x1, x2) by the angles of one position: (x1 c - x2 s, x2 c + x1 s) with s = sine
// or, backwards, -sine.
template <typename T>
void rotate_row(T* heads, int64_t num_heads, int64_t half, const float* cosine, const float* sine,
                bool backwards) {
  const F32 d;
  const auto sign = hn::Set(d, backwards ? -1.0f : 1.0f);
  for (int64_t head = 0; head < num_heads; ++head) {
    T* first = heads + head * 2 * half;
    T* second = first + half;
    for_columns(d, half, [&](int64_t j, auto width) HWY_ATTR {
      const auto c = load(d, cosine + j, width);
      const auto s = hn::Mul(load(d, sine + j, width), sign);
      const auto x1 = load(d, first + j, width);
      const auto x2 = load(d, second + j, width);
      store(d, hn::NegMulAdd(x2, s, hn::Mul(x1, c)), first + j, width);
      store(d, hn::MulAdd(x1, s, hn::Mul(x2, c)), second + j, width);
    });
  }
}

}  // namespace

void rope_row_f32(float* heads, int64_t num_heads, int64_t half, const float* cosine,
                  const float* sine, bool backwards) {
  rotate_row(heads, num_heads, half, cosine, sine, backwards);
}
void rope_row_bf16(bf16* heads, int64_t num_heads, int64_t half, const float* cosine,
                   const float* sine, bool backwards) {
  rotate_row(heads, num_heads, half, cosine, sine, backwards);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(rope_row_f32);
HWY_EXPORT(rope_row_bf16);

auto row_kernel_of(const float*) { return HWY_DYNAMIC_DISPATCH(rope_row_f32); }
auto row_kernel_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(rope_row_bf16); }

template <typename T>
void rotate_at(int64_t position, T* heads, int64_t num_heads, const RopeTable& table,
               bool backwards) {
  const int64_t at = position * table.half_dim;
  row_kernel_of(heads)(heads, num_heads, table.half_dim, table.cos.data() + at,
                       table.sin.data() + at, backwards);
}

template <typename T>
void rotate(T* qk, int64_t rows, int64_t row_stride, int64_t num_heads, int64_t head_dim,
            const RopeTable& table, int64_t position_offset, const int32_t* positions,
            bool backwards) {
  CHECK(head_dim == 2 * table.half_dim);
  CHECK(position_offset >= 0 &&
        std::min(rows, table.seq_length) + position_offset <= table.seq_length);
  for_each_row(rows, num_heads * head_dim, [&](int64_t row) {
    const int64_t position =
        positions == nullptr ? row % table.seq_length + position_offset : positions[row];
    rotate_at(position, qk + row * row_stride, num_heads, table, backwards);
  });
}

// Wavelengths beyond the original context are stretched by `factor`, short ones kept, and those
// between blended (Llama 3.1; Hugging Face's rope_type "llama3").
float scale_frequency(float frequency, const RopeScalingParameters& scaling) {
  const auto original = static_cast<float>(scaling.original_max_position_embeddings);
  const auto low = static_cast<float>(scaling.low_freq_factor);
  const auto high = static_cast<float>(scaling.high_freq_factor);
  const auto factor = static_cast<float>(scaling.factor);
  const float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

float round_to_dtype(double value, DType dtype) {
  const auto rounded = static_cast<float>(value);
  return dtype == DType::kF32 ? rounded : static_cast<float>(bf16(rounded));
}

}  // namespace

// Frequencies and angles are f32 because the models are trained so: at position 8000 the rounding
// of an angle is visible in the sixth digit, and a checkpoint expects the same one everywhere.
RopeTable make_rope_table(double theta, const RopeScalingParameters* scaling, int64_t head_dim,
                          int64_t seq_length, DType rounding) {
  CHECK(head_dim > 0 && head_dim % 2 == 0 && seq_length > 0 && theta > 0);
  RopeTable table;
  table.seq_length = seq_length;
  table.half_dim = head_dim / 2;
  table.cos.resize(static_cast<size_t>(seq_length * table.half_dim));
  table.sin.resize(table.cos.size());
  for (int64_t j = 0; j < table.half_dim; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(head_dim);
    float frequency = 1.0f / static_cast<float>(std::pow(static_cast<float>(theta),
                                                         static_cast<double>(exponent)));
    if (scaling != nullptr) frequency = scale_frequency(frequency, *scaling);
    for (int64_t position = 0; position < seq_length; ++position) {
      const double angle = static_cast<float>(position) * frequency;
      const auto at = static_cast<size_t>(position * table.half_dim + j);
      table.cos[at] = round_to_dtype(std::cos(angle), rounding);
      table.sin[at] = round_to_dtype(std::sin(angle), rounding);
    }
  }
  return table;
}

template <typename T>
void rope_forward(T* qk, int64_t rows, int64_t row_stride, int64_t num_heads, int64_t head_dim,
                  const RopeTable& table, int64_t position_offset, const int32_t* positions) {
  rotate(qk, rows, row_stride, num_heads, head_dim, table, position_offset, positions, false);
}

template <typename T>
void rope_backward(T* dqk, int64_t rows, int64_t row_stride, int64_t num_heads, int64_t head_dim,
                   const RopeTable& table, int64_t position_offset, const int32_t* positions) {
  rotate(dqk, rows, row_stride, num_heads, head_dim, table, position_offset, positions, true);
}

template <typename T>
void rope_forward_block(T* qk, int64_t row_stride, const RopeBlock& block, const RopeTable& table,
                        const int32_t* positions) {
  T* heads = qk + block.first_head * 2 * table.half_dim;
  for (int64_t row = block.first_row; row < block.first_row + block.rows; ++row) {
    const int64_t position = positions == nullptr ? row % table.seq_length : positions[row];
    rotate_at(position, heads + row * row_stride, block.num_heads, table, /*backwards=*/false);
  }
}

template void rope_forward_block(float*, int64_t, const RopeBlock&, const RopeTable&,
                                 const int32_t*);
template void rope_forward_block(bf16*, int64_t, const RopeBlock&, const RopeTable&,
                                 const int32_t*);
template void rope_forward(float*, int64_t, int64_t, int64_t, int64_t, const RopeTable&, int64_t,
                           const int32_t*);
template void rope_forward(bf16*, int64_t, int64_t, int64_t, int64_t, const RopeTable&, int64_t,
                           const int32_t*);
template void rope_backward(float*, int64_t, int64_t, int64_t, int64_t, const RopeTable&, int64_t,
                            const int32_t*);
template void rope_backward(bf16*, int64_t, int64_t, int64_t, int64_t, const RopeTable&, int64_t,
                            const int32_t*);

}  // namespace borealis
#endif
