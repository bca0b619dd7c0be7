// The denominator of a softmax, over vectors, warps and blocks.
#pragma once

#include "kernels/cuda/device_code.cuh"

namespace borealis::cuda {

// A running maximum with the sum of exponentials below it (Milakov & Gimelshein 2018).
struct Softmax {
  float maximum, sum;

  __device__ static Softmax of_nothing() { return {-INFINITY, 0}; }
};
template <typename T>
__device__ Softmax join(Softmax a, Softmax b) {
  const float maximum = fmaxf(a.maximum, b.maximum);
  // Of nothing: its maximum is -inf, and -inf - -inf would be NaN.
  const auto scaled = [maximum](Softmax s) {
    return s.sum == 0.0f ? 0.0f : s.sum * exponential<T>(s.maximum - maximum);
  };
  return {maximum, scaled(a) + scaled(b)};
}

// And kVectors more of logits.
template <typename T, int kCount, int kVectors>
__device__ Softmax join(Softmax s, const Vector<T, kCount> (&logits)[kVectors]) {
  float maximum = s.maximum;
#pragma unroll
  for (int u = 0; u < kVectors; ++u) {
#pragma unroll
    for (int k = 0; k < kCount; ++k) maximum = fmaxf(maximum, logits[u][k]);
  }
  float sum = 0;
#pragma unroll
  for (int u = 0; u < kVectors; ++u) {
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum += exponential<T>(logits[u][k] - maximum);
  }
  return {maximum, (s.sum == 0.0f ? 0.0f : s.sum * exponential<T>(s.maximum - maximum)) + sum};
}

template <typename T>
__device__ Softmax warp_join(Softmax s) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) {
    const Softmax other{__shfl_xor_sync(kAllLanes, s.maximum, lane),
                        __shfl_xor_sync(kAllLanes, s.sum, lane)};
    s = join<T>(s, other);
  }
  return s;
}
// Once a block.
template <typename T>
__device__ Softmax block_join(Softmax s) {
  __shared__ Softmax of_warps[kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  s = warp_join<T>(s);
  if (lane == 0) of_warps[warp] = s;
  __syncthreads();
  const int warps = blockDim.x / kWarp;
  return warp_join<T>(lane < warps ? of_warps[lane] : Softmax::of_nothing());
}

// d loss / d logit of a vector of logits. target: the target's place in it, or any other number.
template <typename T, int kCount>
__device__ Vector<T, kCount> softmax_gradient(const Vector<T, kCount>& logits, Softmax all,
                                              float factor, float scale, int64_t target) {
  const auto share = [&](int k) { return exponential<T>(logits[k] - all.maximum) * factor; };
  Vector<T, kCount> out;
#pragma unroll
  for (int k = 0; k < kCount; ++k) out.set(k, share(k));
  if (target < 0 || target >= kCount) return out;  // but for one of them all
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    // In f32: p - 1 of a rounded p would lose its digits.
    if (k == target) out.set(k, share(k) - scale);
  }
  return out;
}

}  // namespace borealis::cuda
