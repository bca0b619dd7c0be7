#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cpp"
// clang-format off
#include "base/rounding.h"
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void normalize(const T* x, const T* weight, float inv_rms, int64_t D, T* y) {
  const F32 d;
  const auto scale = hn::Set(d, inv_rms);
  for_columns(d, D, [&](int64_t i, auto width) HWY_ATTR {
    const auto normalized = round_to<T>(d, hn::Mul(load(d, x + i, width), scale));
    store(d, hn::Mul(load(d, weight + i, width), normalized), y + i, width);
  });
}

float inverse_rms(float sum_of_squares, float eps, int64_t D) {
  return 1.0f / std::sqrt(sum_of_squares / static_cast<float>(D) + eps);
}

template <typename T>
float forward_row(const T* x, const T* weight, float eps, int64_t D, T* y) {
  const F32 d;
  const float squares = sum_columns(d, D, [&](int64_t i, auto width, F32Vec sum) HWY_ATTR {
    const auto value = load(d, x + i, width);
    return hn::MulAdd(value, value, sum);
  });
  const float inv_rms = inverse_rms(squares, eps, D);
  normalize(x, weight, inv_rms, D, y);
  return inv_rms;
}

template <typename T>
float add_forward_row(const T* x, const T* delta, const T* weight, float eps, int64_t D, T* sum,
                      T* y) {
  const F32 d;
  const float squares = sum_columns(d, D, [&](int64_t i, auto width, F32Vec total) HWY_ATTR {
    const auto exact = hn::Add(load(d, x + i, width), load(d, delta + i, width));
    store(d, exact, sum + i, width);
    const auto value = round_to<T>(d, exact);
    return hn::MulAdd(value, value, total);
  });
  const float inv_rms = inverse_rms(squares, eps, D);
  normalize(sum, weight, inv_rms, D, y);
  return inv_rms;
}

// With n = x * inv_rms and g = dy * w: dx = inv_rms * (g - n * mean(g * n)), dw = dy * n. kNormed:
// normed = w * n, too.
template <bool kNormed, typename T>
void backward_row(const T* dy, const T* x, const T* weight, float inv_rms, int64_t D, T* dx,
                  float* dweight, T* normed) {
  const F32 d;
  const auto scale = hn::Set(d, inv_rms);
  const float dot = sum_columns(d, D, [&](int64_t i, auto width, F32Vec sum) HWY_ATTR {
    const auto gradient = load(d, dy + i, width);
    const auto normalized = hn::Mul(load(d, x + i, width), scale);
    const auto rounded = round_to<T>(d, normalized);
    const auto w = load(d, weight + i, width);
    store(d, hn::MulAdd(gradient, rounded, load(d, dweight + i, width)), dweight + i, width);
    if constexpr (kNormed) store(d, hn::Mul(w, rounded), normed + i, width);
    return hn::MulAdd(hn::Mul(gradient, w), normalized, sum);
  });
  const auto mean = hn::Set(d, dot / static_cast<float>(D));
  for_columns(d, D, [&](int64_t i, auto width) HWY_ATTR {
    const auto g = hn::Mul(load(d, dy + i, width), load(d, weight + i, width));
    const auto normalized = hn::Mul(load(d, x + i, width), scale);
    const auto through = hn::NegMulAdd(normalized, mean, g);
    store(d, hn::MulAdd(scale, through, load(d, dx + i, width)), dx + i, width);
  });
}

template <typename T>
void backward_row(const T* dy, const T* x, const T* weight, float inv_rms, int64_t D, T* dx,
                  float* dweight, T* normed) {
  if (normed != nullptr) {
    backward_row<true>(dy, x, weight, inv_rms, D, dx, dweight, normed);
  } else {
    backward_row<false>(dy, x, weight, inv_rms, D, dx, dweight, normed);
  }
}

}  // namespace

float rms_forward_row_f32(const float* x, const float* w, float eps, int64_t D, float* y) {
  return forward_row(x, w, eps, D, y);
}
float rms_forward_row_bf16(const bf16* x, const bf16* w, float eps, int64_t D, bf16* y) {
  return forward_row(x, w, eps, D, y);
}
float rms_add_forward_row_f32(const float* x, const float* delta, const float* w, float eps,
                              int64_t D, float* sum, float* y) {
  return add_forward_row(x, delta, w, eps, D, sum, y);
}
float rms_add_forward_row_bf16(const bf16* x, const bf16* delta, const bf16* w, float eps,
                               int64_t D, bf16* sum, bf16* y) {
  return add_forward_row(x, delta, w, eps, D, sum, y);
}
void rms_backward_row_f32(const float* dy, const float* x, const float* w, float inv_rms, int64_t D,
                          float* dx, float* dweight, float* normed) {
  backward_row(dy, x, w, inv_rms, D, dx, dweight, normed);
}
void rms_backward_row_bf16(const bf16* dy, const bf16* x, const bf16* w, float inv_rms, int64_t D,
                           bf16* dx, float* dweight, bf16* normed) {
  backward_row(dy, x, w, inv_rms, D, dx, dweight, normed);
}

// into[i] += the sum over the blocks, in order, of partials[block * D + i], for n columns.
void rms_add_partials(const float* partials, int64_t blocks, int64_t D, int64_t n, float* into) {
  const F32 d;
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int64_t block = 0; block < blocks; ++block) {
      sum = hn::Add(sum, load(d, partials + block * D + i, width));
    }
    store(d, hn::Add(load(d, into + i, width), sum), into + i, width);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(rms_forward_row_f32);
HWY_EXPORT(rms_forward_row_bf16);
HWY_EXPORT(rms_add_forward_row_f32);
HWY_EXPORT(rms_add_forward_row_bf16);
HWY_EXPORT(rms_backward_row_f32);
HWY_EXPORT(rms_backward_row_bf16);
HWY_EXPORT(rms_add_partials);

auto forward_row_of(const float*) { return HWY_DYNAMIC_DISPATCH(rms_forward_row_f32); }
auto forward_row_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(rms_forward_row_bf16); }
auto add_forward_row_of(const float*) { return HWY_DYNAMIC_DISPATCH(rms_add_forward_row_f32); }
auto add_forward_row_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(rms_add_forward_row_bf16); }
auto backward_row_of(const float*) { return HWY_DYNAMIC_DISPATCH(rms_backward_row_f32); }
auto backward_row_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(rms_backward_row_bf16); }

}  // namespace

template <typename T>
void rms_norm_forward(const T* x, const T* weight, float eps, int64_t rows, int64_t D, T* y,
                      float* inv_rms) {
  const auto row_kernel = forward_row_of(x);
  for_each_row(rows, D, [&](int64_t row) {
    const float value = row_kernel(x + row * D, weight, eps, D, y + row * D);
    if (inv_rms != nullptr) inv_rms[row] = value;
  });
}

template <typename T>
void add_rms_norm_forward(const T* x, const T* delta, const T* weight, float eps, int64_t rows,
                          int64_t D, T* sum, T* y, float* inv_rms) {
  const auto row_kernel = add_forward_row_of(x);
  for_each_row(rows, D, [&](int64_t row) {
    const int64_t at = row * D;
    const float value = row_kernel(x + at, delta + at, weight, eps, D, sum + at, y + at);
    if (inv_rms != nullptr) inv_rms[row] = value;
  });
}

template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* inv_rms, int64_t rows,
                       int64_t D, T* dx, float* dweight, float* scratch, T* normed) {
  const auto row_kernel = backward_row_of(dy);
  const int64_t blocks = std::min(rows, kRmsNormRowBlocks);
  for_each_row(blocks, divide_up(rows, kRmsNormRowBlocks) * D, [&](int64_t block) {
    float* partial = scratch + block * D;
    std::fill_n(partial, D, 0.0f);
    for (int64_t row = rows * block / blocks; row < rows * (block + 1) / blocks; ++row) {
      const int64_t at = row * D;
      row_kernel(dy + at, x + at, weight, inv_rms[row], D, dx + at, partial,
                 normed == nullptr ? nullptr : normed + at);
    }
  });
  const auto add_partials = HWY_DYNAMIC_DISPATCH(rms_add_partials);
  constexpr int64_t kColumns = 256;
  for_each_row(divide_up(D, kColumns), blocks * kColumns, [&](int64_t c) {
    const int64_t first = c * kColumns;
    add_partials(scratch + first, blocks, D, std::min(kColumns, D - first), dweight + first);
  });
}

template void rms_norm_forward(const float*, const float*, float, int64_t, int64_t, float*, float*);
template void add_rms_norm_forward(const float*, const float*, const float*, float, int64_t,
                                   int64_t, float*, float*, float*);
template void rms_norm_backward(const float*, const float*, const float*, const float*, int64_t,
                                int64_t, float*, float*, float*, float*);
template void rms_norm_forward(const bf16*, const bf16*, float, int64_t, int64_t, bf16*, float*);
template void add_rms_norm_forward(const bf16*, const bf16*, const bf16*, float, int64_t, int64_t,
                                   bf16*, bf16*, float*);
template void rms_norm_backward(const bf16*, const bf16*, const bf16*, const float*, int64_t,
                                int64_t, bf16*, float*, float*, bf16*);

}  // namespace borealis
#endif
