// Sums, conversions and clearing of flat buffers, split over OpenMP threads. T is float or bf16;
// f32 -> bf16 rounds to nearest even and keeps NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace borealis {

// out = a + b, summed in f32 and rounded once; out may be a or b.
template <typename T>
void add(const T* a, const T* b, T* out, int64_t n);

void convert(const bf16* src, float* dst, int64_t n);
void convert(const float* src, bf16* dst, int64_t n);

// The same on [rows, cols] matrices with leading dimensions src_ld and dst_ld.
void convert_rows(const bf16* src, int64_t src_ld, float* dst, int64_t dst_ld, int64_t rows,
                  int64_t cols);
void convert_rows(const float* src, int64_t src_ld, bf16* dst, int64_t dst_ld, int64_t rows,
                  int64_t cols);

// dst[r, :] = src[r, :] * factor[r], rounded once; dense [rows, cols].
void scale_rows(const float* src, const float* factor, bf16* dst, int64_t rows, int64_t cols);
void scale_rows(const bf16* src, const float* factor, bf16* dst, int64_t rows, int64_t cols);

void fill_zero(void* data, size_t bytes);
void copy_bytes(const void* from, void* to, size_t bytes);  // not overlapping
// The same for what nobody reads soon: its stores pass the caches by, so that memory is not read
// before it is written.
void copy_uncached(const void* from, void* to, size_t bytes);

}  // namespace borealis
