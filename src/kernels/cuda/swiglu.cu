#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__device__ float sigmoid(float x) {
  return reciprocal<T>(1.0f + exponential<T>(-x));
}

// A vector of gates and one of ups a thread; blockIdx.y is the row.
template <typename T, int kCount>
__global__ void forward_kernel(const T* gate_up, int64_t F, T* out) {
  using V = Vector<T, kCount>;
  const int64_t at = (blockIdx.x * int64_t{blockDim.x} + threadIdx.x) * kCount;
  if (at >= F) return;
  const T* row = gate_up + blockIdx.y * 2 * F;
  const V gate = V::load(row + at), up = V::load(row + F + at);
  V y;
#pragma unroll
  for (int k = 0; k < kCount; ++k) y.set(k, gate[k] * sigmoid<T>(gate[k]) * up[k]);
  y.store(out + blockIdx.y * F + at);
}

template <typename T, int kCount>
__global__ void backward_kernel(T* gate_up, T* dout, int64_t F) {
  using V = Vector<T, kCount>;
  const int64_t at = (blockIdx.x * int64_t{blockDim.x} + threadIdx.x) * kCount;
  if (at >= F) return;
  T* row = gate_up + blockIdx.y * 2 * F;
  T* out_row = dout + blockIdx.y * F;
  V gate = V::load(row + at), up = V::load(row + F + at), out = V::load(out_row + at);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float g = gate[k], u = up[k], d = out[k], s = sigmoid<T>(g), silu = g * s;
    const float dgate = d * u * (s + silu * (1.0f - s));
    gate.set(k, dgate);
    up.set(k, d * silu);
    out.set(k, silu * u);
  }
  gate.store(row + at);
  up.store(row + F + at);
  out.store(out_row + at);
}

// Rows beyond what a grid's second dimension takes are launched apart.
template <typename Launch>
void for_rows(int64_t rows, const Launch& launch) {
  constexpr int64_t kMostRows = 65535;
  for (int64_t first = 0; first < rows; first += kMostRows) {
    launch(first, static_cast<unsigned>(std::min(kMostRows, rows - first)));
  }
}

}  // namespace

template <typename T>
void swiglu(const SwigluForward<T>& a, cudaStream_t stream) {
  const int64_t F = a.columns;
  const bool wide = F % kWide<T> == 0 && is_wide(a.gate_up) && is_wide(a.out);
  for_rows(a.rows, [&](int64_t first, unsigned rows) {
    const T* gate_up = a.gate_up + first * 2 * F;
    T* out = a.out + first * F;
    if (wide) {
      const dim3 grid(blocks_for(F, kThreads * kWide<T>), rows);
      launch("SwiGLU", forward_kernel<T, kWide<T>>, grid, kThreads, stream, gate_up, F, out);
    } else {
      const dim3 grid(blocks_for(F, kThreads), rows);
      launch("SwiGLU", forward_kernel<T, 1>, grid, kThreads, stream, gate_up, F, out);
    }
  });
}

template <typename T>
void swiglu_backward(const SwigluBackward<T>& a, cudaStream_t stream) {
  const int64_t F = a.columns;
  const bool wide = F % kWide<T> == 0 && is_wide(a.gate_up) && is_wide(a.dout);
  for_rows(a.rows, [&](int64_t first, unsigned rows) {
    T* gate_up = a.gate_up + first * 2 * F;
    T* dout = a.dout + first * F;
    if (wide) {
      const dim3 grid(blocks_for(F, kThreads * kWide<T>), rows);
      launch("SwiGLU, backward", backward_kernel<T, kWide<T>>, grid, kThreads, stream, gate_up,
             dout, F);
    } else {
      const dim3 grid(blocks_for(F, kThreads), rows);
      launch("SwiGLU, backward", backward_kernel<T, 1>, grid, kThreads, stream, gate_up, dout, F);
    }
  });
}

template void swiglu(const SwigluForward<float>&, cudaStream_t);
template void swiglu(const SwigluForward<bf16>&, cudaStream_t);
template void swiglu_backward(const SwigluBackward<float>&, cudaStream_t);
template void swiglu_backward(const SwigluBackward<bf16>&, cudaStream_t);

}  // namespace borealis::cuda
