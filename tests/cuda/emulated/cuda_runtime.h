// The language of CUDA kernels as far as ours use it, for a C++ compiler.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "cuda/emulated/grid.h"
#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __shared__ static  // one block runs at a time
#define __launch_bounds__(...)
#define threadIdx borealis::emulated::thread_index
#define blockIdx borealis::emulated::block_index
#define blockDim borealis::emulated::block_dim
#define gridDim borealis::emulated::grid_dim

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
inline void __syncthreads() { borealis::emulated::wait_for_block(); }
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  T other;
  borealis::emulated::exchange(&value, &other, sizeof(T), mask);
  return other;
}
inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t __float_as_uint(float value) { return std::bit_cast<uint32_t>(value); }
inline float __expf(float value) { return std::exp(value); }
inline float __fdividef(float a, float b) { return a / b; }
inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
using std::isnan;
