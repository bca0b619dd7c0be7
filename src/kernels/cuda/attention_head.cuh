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

}  // namespace borealis::cuda
