// RMS norm over the last dim (Zhang & Sennrich 2019, eq. 4): y = w * cast(x / rms(x)).
// T is float or bf16. Statistics and arithmetic are f32; the normalized value is rounded to T
// before it meets the weight, as Llama's implementations do. Rows are split over OpenMP threads;
// the same bits come out for any number of threads. Nothing allocates, nothing throws.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace borealis {

//   x, y [rows, D]; weight [D]; inv_rms [rows], kept for the backward pass, may be nullptr.
//   y may alias x.
template <typename T>
void rms_norm_forward(const T* x, const T* weight, float eps, int64_t rows, int64_t D, T* y,
                      float* inv_rms);

// The same on a residual stream: sum = x + delta (rounded to T), y = norm(sum).
//   x, delta, sum, y [rows, D]; sum may alias x or delta.
template <typename T>
void add_rms_norm_forward(const T* x, const T* delta, const T* weight, float eps, int64_t rows,
                          int64_t D, T* sum, T* y, float* inv_rms);

// dx += d loss / dx through the norm (one f32 sum, rounded once): the caller's dx holds the
// gradient of the residual path. dweight [D] accumulates in f32. scratch: see below, content is
// irrelevant. normed [rows, D], unless it is nullptr: the forward pass' y once more, to the bit,
// for the gradient of the weights behind the norm, of values that are at hand here.
//   dy may not alias dx, nor normed any other.
template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* inv_rms, int64_t rows,
                       int64_t D, T* dx, float* dweight, float* scratch, T* normed = nullptr);

// Rows are cut into this many blocks whatever the number of threads; each has its own partial
// dweight, and the partials are added in order.
constexpr int64_t kRmsNormRowBlocks = 64;
constexpr int64_t rms_norm_backward_scratch_floats(int64_t D) { return kRmsNormRowBlocks * D; }

}  // namespace borealis
