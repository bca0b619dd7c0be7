#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kMostThreads = 1024;

// Whole warps, a vector a thread where the row is not too long.
int threads_for(int64_t vectors) {
  const int64_t warps = (vectors + kWarp - 1) / kWarp;
  return static_cast<int>(std::min<int64_t>(warps * kWarp, kMostThreads));
}

__device__ float inverse_rms(float squares, float eps, int64_t D) {
  return 1.0f / sqrtf(squares / static_cast<float>(D) + eps);
}

// A block a row. kAdd: x + delta is made, stored in `sum` and normed. The row is read again for the
// second pass, out of the first cache; where it is one vector a thread, out of registers.
template <typename T, int kCount, bool kAdd>
__global__ void forward_kernel(const T* x, const T* delta, const T* weight, float eps, int64_t D,
                               T* sum, T* y, float* inv_rms) {
  using V = Vector<T, kCount>;
  const int64_t row = blockIdx.x, at = row * D, vectors = D / kCount;
  const T* normed = kAdd ? sum : x;
  float squares = 0;
  V kept{};
  for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
    V v = V::load(x + at + i * kCount);
    if (kAdd) {
      const V d = V::load(delta + at + i * kCount);
#pragma unroll
      for (int k = 0; k < kCount; ++k) v.set(k, v[k] + d[k]);
      v.store(sum + at + i * kCount);
    }
#pragma unroll
    for (int k = 0; k < kCount; ++k) squares += v[k] * v[k];
    kept = v;
  }
  const float scale = inverse_rms(block_sum(squares), eps, D);
  if (threadIdx.x == 0 && inv_rms != nullptr) inv_rms[row] = scale;
  const bool one_each = vectors <= blockDim.x;
  for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
    // A thread reads what it wrote itself, or what nobody writes.
    const V v = one_each ? kept : V::load(normed + at + i * kCount);
    const V w = V::load(weight + i * kCount);
    V out;
#pragma unroll
    for (int k = 0; k < kCount; ++k) out.set(k, w[k] * rounded<T>(v[k] * scale));
    out.store(y + at + i * kCount);
  }
}

// Blocks take rows in turn: block b those from b on, gridDim.x apart. A thread has the same columns
// in all of them and adds their weight gradient up for its block: where the row is one vector a
// thread, in registers, else in `partials` [gridDim.x, D].
template <typename T, int kCount, bool kOneEach>
__global__ void backward_kernel(const T* dy, const T* x, const T* weight, const float* inv_rms,
                                int64_t rows, int64_t D, T* dx, float* partials) {
  using V = Vector<T, kCount>;
  const int64_t vectors = D / kCount;
  float* of_block = partials + blockIdx.x * D;
  float of_vector[kCount] = {};
  if (!kOneEach) {
    for (int64_t i = threadIdx.x; i < D; i += blockDim.x) of_block[i] = 0;
    __syncthreads();
  }
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = row * D;
    const float scale = inv_rms[row];
    float dot = 0;
    for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
      const V g = V::load(dy + at + i * kCount), v = V::load(x + at + i * kCount);
      const V w = V::load(weight + i * kCount);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const float normalized = v[k] * scale;
        const float part = g[k] * rounded<T>(normalized);
        if (kOneEach) {
          of_vector[k] += part;
        } else {
          of_block[i * kCount + k] += part;
        }
        dot += g[k] * w[k] * normalized;
      }
    }
    const float mean = block_sum(dot) / static_cast<float>(D);
    for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
      const V g = V::load(dy + at + i * kCount), v = V::load(x + at + i * kCount);
      const V w = V::load(weight + i * kCount);
      V out = V::load(dx + at + i * kCount);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const float through = g[k] * w[k] - v[k] * scale * mean;
        out.set(k, out[k] + scale * through);
      }
      out.store(dx + at + i * kCount);
    }
  }
  if (kOneEach && threadIdx.x < vectors) {
    for (int k = 0; k < kCount; ++k) of_block[threadIdx.x * kCount + k] = of_vector[k];
  }
}

__global__ void add_partials_kernel(const float* partials, int64_t blocks, int64_t D,
                                    float* dweight) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= D) return;
  float sum = 0;
  for (int64_t block = 0; block < blocks; ++block) sum += partials[block * D + i];
  dweight[i] += sum;
}

template <typename T, bool kAdd>
void forward(const RmsNormForward<T>& a, const T* delta, T* sum, cudaStream_t stream) {
  if (a.rows == 0) return;
  const auto grid = static_cast<unsigned>(a.rows);
  const bool wide = a.columns % kWide<T> == 0 && is_wide(a.x) && is_wide(a.weight) &&
                    is_wide(a.y) && (!kAdd || (is_wide(delta) && is_wide(sum)));
  if (wide) {
    launch("RMSNorm", forward_kernel<T, kWide<T>, kAdd>, grid, threads_for(a.columns / kWide<T>),
           stream, a.x, delta, a.weight, a.eps, a.columns, sum, a.y, a.inv_rms);
  } else {
    launch("RMSNorm", forward_kernel<T, 1, kAdd>, grid, threads_for(a.columns), stream, a.x, delta,
           a.weight, a.eps, a.columns, sum, a.y, a.inv_rms);
  }
}

}  // namespace

template <typename T>
void rms_norm(const RmsNormForward<T>& a, cudaStream_t stream) {
  forward<T, false>(a, nullptr, nullptr, stream);
}

template <typename T>
void add_rms_norm(const AddRmsNormForward<T>& a, cudaStream_t stream) {
  forward<T, true>(a.norm, a.delta, a.sum, stream);
}

template <typename T>
void rms_norm_backward(const RmsNormBackward<T>& a, float* partials, int multiprocessors,
                       cudaStream_t stream) {
  if (a.rows == 0) return;
  const int64_t D = a.columns;
  const auto grid = static_cast<unsigned>(std::min(gpu_norm_partial_rows(multiprocessors), a.rows));
  const bool wide =
      D % kWide<T> == 0 && is_wide(a.dy) && is_wide(a.x) && is_wide(a.weight) && is_wide(a.dx);
  const auto run = [&]<int kCount>() {
    const int64_t vectors = D / kCount;
    const auto kernel = vectors <= kMostThreads ? backward_kernel<T, kCount, true>
                                                : backward_kernel<T, kCount, false>;
    launch("RMSNorm, backward", kernel, grid, threads_for(vectors), stream, a.dy, a.x, a.weight,
           a.inv_rms, a.rows, D, a.dx, partials);
  };
  if (wide) {
    run.template operator()<kWide<T>>();
  } else {
    run.template operator()<1>();
  }
  launch("RMSNorm, weight gradient", add_partials_kernel, blocks_for(D, 256), 256, stream, partials,
         grid, D, a.dweight);
}

template void rms_norm(const RmsNormForward<float>&, cudaStream_t);
template void rms_norm(const RmsNormForward<bf16>&, cudaStream_t);
template void add_rms_norm(const AddRmsNormForward<float>&, cudaStream_t);
template void add_rms_norm(const AddRmsNormForward<bf16>&, cudaStream_t);
template void rms_norm_backward(const RmsNormBackward<float>&, float*, int, cudaStream_t);
template void rms_norm_backward(const RmsNormBackward<bf16>&, float*, int, cudaStream_t);

}  // namespace borealis::cuda
