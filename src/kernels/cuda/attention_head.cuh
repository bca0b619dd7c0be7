// A head of a row in the registers of a warp, for the plain attention kernels.
#pragma once

#include "kernels/cuda/device_code.cuh"

namespace borealis::cuda {

constexpr int kWarps = 4;  // of a block, each with a row of its own
constexpr int kMostHeadDim = 256;
constexpr int kParts = kMostHeadDim / kWarp;  // elements of a head that a lane has
constexpr float kLog2E = 1.4426950408889634f;

// Lane l has elements l, l + 32, ... of a head; those behind its end are zero.
template <typename T>
__device__ void load_head(const T* from, int64_t C, float (&into)[kParts]) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int p = 0; p < kParts; ++p) {
    const int c = lane + p * kWarp;
    into[p] = c < C ? widen(from[c]) : 0.0f;
  }
}
template <typename T>
__device__ void store_head(const float (&values)[kParts], int64_t C, T* to) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int p = 0; p < kParts; ++p) {
    const int c = lane + p * kWarp;
    if (c < C) to[c] = narrow<T>(values[p]);
  }
}
__device__ inline float dot(const float (&a)[kParts], const float (&b)[kParts]) {
  float sum = 0;
#pragma unroll
  for (int p = 0; p < kParts; ++p) sum = fmaf(a[p], b[p], sum);
  return warp_sum(sum);
}
__device__ inline void add_scaled(float factor, const float (&v)[kParts], float (&to)[kParts]) {
#pragma unroll
  for (int p = 0; p < kParts; ++p) to[p] = fmaf(factor, v[p], to[p]);
}

// One query over keys first .. last, which lie `stride` elements apart, as their values do: the
// values' mean by softmax, with a running maximum, in `out`. Returns log2 of the denominator.
template <typename T>
__device__ float attend(const float (&q)[kParts], const T* keys, const T* values, int64_t stride,
                        int64_t first, int64_t last, int64_t C, float scale, float (&out)[kParts]) {
  float k[kParts], v[kParts], maximum = -INFINITY, denominator = 0;
#pragma unroll
  for (int p = 0; p < kParts; ++p) out[p] = 0;
  for (int64_t key = first; key <= last; ++key) {
    load_head(keys + key * stride, C, k);
    load_head(values + key * stride, C, v);
    const float score = dot(q, k) * scale * kLog2E;
    const float higher = fmaxf(maximum, score);
    const float keep = exp2f(maximum - higher), weight = exp2f(score - higher);
#pragma unroll
    for (int p = 0; p < kParts; ++p) out[p] *= keep;
    add_scaled(weight, v, out);
    denominator = denominator * keep + weight;
    maximum = higher;
  }
#pragma unroll
  for (int p = 0; p < kParts; ++p) out[p] /= denominator;
  return maximum + log2f(denominator);
}

}  // namespace borealis::cuda
