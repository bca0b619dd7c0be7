// What the CUDA kernels share: conversions, vectors of 16 bytes, sums over a block.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "base/dtype.h"

namespace borealis::cuda {

__device__ inline float widen(float v) { return v; }
__device__ inline float widen(bf16 v) { return __uint_as_float(uint32_t{v.bits} << 16); }

// Nearest, ties to even; NaN stays NaN, made quiet.
template <typename T>
__device__ T narrow(float v);
template <>
__device__ inline float narrow<float>(float v) {
  return v;
}
template <>
__device__ inline bf16 narrow<bf16>(float v) {
  bf16 out;
#ifdef __CUDA_ARCH__
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(v));
#else
  const uint32_t word = __float_as_uint(v);
  out.bits = static_cast<uint16_t>((word & 0x7fffffffu) > 0x7f800000u
                                       ? (word >> 16) | 0x40u
                                       : (word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
#endif
  return out;
}
template <typename T>
__device__ float rounded(float v) {
  return widen(narrow<T>(v));
}

// As exact as what they become a part of: the fast ones err by some units of f32's last place more.
template <typename T>
__device__ float exponential(float v) {
  return sizeof(T) == sizeof(float) ? expf(v) : __expf(v);
}

template <typename T>
__device__ float reciprocal(float v) {
  return sizeof(T) == sizeof(float) ? 1.0f / v : __fdividef(1.0f, v);
}

// kCount elements that one thread moves at a time: 16 bytes, or one element of a row whose size or
// place allows no more.
template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Vector {
  static constexpr int count = kCount;
  T values[kCount];

  __device__ static Vector load(const T* from) { return *reinterpret_cast<const Vector*>(from); }
  __device__ void store(T* to) const { *reinterpret_cast<Vector*>(to) = *this; }
  __device__ float operator[](int i) const { return widen(values[i]); }
  __device__ void set(int i, float v) { values[i] = narrow<T>(v); }
  __device__ void set_bits(int i, uint32_t bits) { values[i].bits = static_cast<uint16_t>(bits); }
};

// bf16 by pairs. Halves of registers would be taken apart where a vector is loaded, which waits for
// the load; words are where they are used.
template <int kCount>
requires(kCount % 2 == 0) struct alignas(kCount * sizeof(bf16)) Vector<bf16, kCount> {
  static constexpr int count = kCount;
  uint32_t words[kCount / 2] = {};

  __device__ static Vector load(const bf16* from) { return *reinterpret_cast<const Vector*>(from); }
  __device__ void store(bf16* to) const { *reinterpret_cast<Vector*>(to) = *this; }
  __device__ float operator[](int i) const {
    const uint32_t word = words[i / 2];
    return __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
  }
  __device__ void set(int i, float v) { set_bits(i, narrow<bf16>(v).bits); }
  __device__ void set_bits(int i, uint32_t bits) {
    uint32_t& word = words[i / 2];
    word = i % 2 == 0 ? (word & 0xffff0000u) | bits : (word & 0x0000ffffu) | bits << 16;
  }
};
// A vector of 16 bytes in one store, of what nobody reads soon.
template <typename V>
__device__ void store_streaming(const V& vector, void* to) {
  static_assert(sizeof(V) == sizeof(uint4));
  uint4 words;
  memcpy(&words, &vector, sizeof(V));
#ifdef __CUDA_ARCH__
  __stcs(static_cast<uint4*>(to), words);
#else
  memcpy(to, &words, sizeof(V));
#endif
}

template <typename T>
constexpr int kWide = 16 / sizeof(T);

// Whether a Vector<T, kCount> may be loaded from there, or stored.
template <int kCount, typename T>
bool holds_vectors(const T* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % (kCount * sizeof(T)) == 0;
}
template <typename T>
bool is_wide(const T* pointer) {
  return holds_vectors<kWide<T>>(pointer);
}

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

template <typename T>
__device__ T warp_sum(T v) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) v += __shfl_xor_sync(kAllLanes, v, lane);
  return v;
}

// Another lane's vector of 16 bytes.
template <typename V>
__device__ V from_lane_xor(const V& mine, int mask) {
  struct Words {
    uint32_t words[4];
  };
  static_assert(sizeof(V) == sizeof(Words));
  Words words;
  memcpy(&words, &mine, sizeof(V));
#pragma unroll
  for (uint32_t& word : words.words) word = __shfl_xor_sync(kAllLanes, word, mask);
  V other;
  memcpy(static_cast<void*>(&other), &words, sizeof(V));
  return other;
}

// Whole warps for a row, a vector a thread where the row is not too long.
constexpr int kMostThreads = 1024;
inline int threads_for(int64_t vectors) {
  const int64_t rounded_up = (vectors + kWarp - 1) / kWarp * kWarp;
  return static_cast<int>(rounded_up < kMostThreads ? rounded_up : kMostThreads);
}

// Of the values of all threads of a block of whole warps, on all of them, in an order that depends
// on nothing but the block's size.
template <typename T>
__device__ T block_sum(T v) {
  __shared__ T of_warps[kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  v = warp_sum(v);
  __syncthreads();  // an earlier sum may still be read
  if (lane == 0) of_warps[warp] = v;
  __syncthreads();
  const int warps = blockDim.x / kWarp;
  return warp_sum(lane < warps ? of_warps[lane] : T(0));
}

}  // namespace borealis::cuda
