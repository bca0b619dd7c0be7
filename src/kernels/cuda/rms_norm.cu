#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

__device__ float inverse_rms(float squares, float eps, int64_t D) {
  return 1.0f / sqrtf(squares / static_cast<float>(D) + eps);
}

template <typename T, int kCount>
__device__ float sum_of_squares_of(const Vector<T, kCount>& v) {
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kCount; ++k) squares += v[k] * v[k];
  return squares;
}
template <typename T, int kCount>
__device__ Vector<T, kCount> sum_of(const Vector<T, kCount>& a, const Vector<T, kCount>& b) {
  Vector<T, kCount> sum;
#pragma unroll
  for (int k = 0; k < kCount; ++k) sum.set(k, a[k] + b[k]);
  return sum;
}
template <typename T, int kCount>
__device__ Vector<T, kCount> normed(const Vector<T, kCount>& v, const Vector<T, kCount>& weight,
                                    float scale) {
  Vector<T, kCount> out;
#pragma unroll
  for (int k = 0; k < kCount; ++k) out.set(k, weight[k] * rounded<T>(v[k] * scale));
  return out;
}

// A block a row, a vector a thread. kAdd: x + delta is made, stored in `sum` and normed.
template <typename T, int kCount, bool kAdd>
__global__ void __launch_bounds__(kMostThreads)
    forward_kernel(const T* x, const T* delta, const T* weight, float eps, int64_t D, T* sum, T* y,
                   float* inv_rms) {
  using V = Vector<T, kCount>;
  const int64_t column = int64_t{threadIdx.x} * kCount, at = blockIdx.x * D + column;
  const bool has_part = column < D;
  V v{}, w{};
  if (has_part) {
    v = V::load(x + at);
    if (kAdd) v = sum_of(v, V::load(delta + at));
    w = V::load(weight + column);
    if (kAdd) v.store(sum + at);
  }
  const float scale = inverse_rms(block_sum(sum_of_squares_of(v)), eps, D);
  if (threadIdx.x == 0 && inv_rms != nullptr) inv_rms[blockIdx.x] = scale;
  if (has_part) normed(v, w, scale).store(y + at);
}

// The same of rows that are longer than that. They are read again for the second pass, out of the
// first cache: a thread reads what it wrote itself, or what nobody writes.
template <typename T, int kCount, bool kAdd>
__global__ void __launch_bounds__(kMostThreads)
    forward_long_kernel(const T* x, const T* delta, const T* weight, float eps, int64_t D, T* sum,
                        T* y, float* inv_rms) {
  using V = Vector<T, kCount>;
  const int64_t at = blockIdx.x * D, step = int64_t{blockDim.x} * kCount;
  float squares = 0;
  for (int64_t i = int64_t{threadIdx.x} * kCount; i < D; i += step) {
    V v = V::load(x + at + i);
    if (kAdd) {
      v = sum_of(v, V::load(delta + at + i));
      v.store(sum + at + i);
    }
    squares += sum_of_squares_of(v);
  }
  const float scale = inverse_rms(block_sum(squares), eps, D);
  if (threadIdx.x == 0 && inv_rms != nullptr) inv_rms[blockIdx.x] = scale;
  for (int64_t i = int64_t{threadIdx.x} * kCount; i < D; i += step) {
    const V v = V::load((kAdd ? sum : x) + at + i);
    normed(v, V::load(weight + i), scale).store(y + at + i);
  }
}

// What a thread has of a row in the backward pass.
template <typename T, int kCount>
struct RowPart {
  Vector<T, kCount> g, v, dx;
  float scale;

  __device__ static RowPart load(const T* dy, const T* x, const T* dx, const float* inv_rms,
                                 int64_t row, int64_t at) {
    using V = Vector<T, kCount>;
    return {V::load(dy + at), V::load(x + at), V::load(dx + at), inv_rms[row]};
  }
  // Of the dot product of the gradient and the normed row; adds to the weight gradient, and stores
  // the row's part of the forward pass' result, unless normed is null.
  __device__ float dot(const Vector<T, kCount>& w, float* dweight, T* normed) const {
    float sum = 0;
    Vector<T, kCount> y;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const float normalized = v[k] * scale, narrowed = rounded<T>(normalized);
      dweight[k] += g[k] * narrowed;
      y.set(k, w[k] * narrowed);
      sum += g[k] * w[k] * normalized;
    }
    if (normed != nullptr) y.store(normed);
    return sum;
  }
  __device__ Vector<T, kCount> gradient(const Vector<T, kCount>& w, float mean) const {
    Vector<T, kCount> out;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const float through = g[k] * w[k] - v[k] * scale * mean;
      out.set(k, dx[k] + scale * through);
    }
    return out;
  }
};

// Blocks take rows in turn: block b those from b on, gridDim.x apart; a thread has one vector in
// all of them and keeps their weight gradient, which becomes a row of `partials` [gridDim.x, D].
// The next row is on its way while this one's sum is made. kThreads: of a block, at most.
template <typename T, int kCount, int kThreads>
__global__ void __launch_bounds__(kThreads, kThreads <= kMostThreads / 2 ? 2 : 1)
    backward_kernel(const T* dy, const T* x, const T* weight, const float* inv_rms, int64_t rows,
                    int64_t D, T* dx, float* partials, T* normed) {
  using V = Vector<T, kCount>;
  using Part = RowPart<T, kCount>;
  const int64_t column = int64_t{threadIdx.x} * kCount;
  const bool has_part = column < D;
  float dweight[kCount] = {};
  Part part{}, next{};
  V w{};
  if (has_part) {
    w = V::load(weight + column);
    part = Part::load(dy, x, dx, inv_rms, blockIdx.x, blockIdx.x * D + column);
  }
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t after = row + gridDim.x;
    if (has_part && after < rows) {
      next = Part::load(dy, x, dx, inv_rms, after, after * D + column);
    }
    T* row_of_normed = normed == nullptr || !has_part ? nullptr : normed + row * D + column;
    const float mean = block_sum(part.dot(w, dweight, row_of_normed)) / static_cast<float>(D);
    if (has_part) part.gradient(w, mean).store(dx + row * D + column);
    part = next;
  }
  if (!has_part) return;
#pragma unroll
  for (int k = 0; k < kCount; ++k) partials[blockIdx.x * D + column + k] = dweight[k];
}

// The same of longer rows, whose weight gradient is added up in `partials`.
template <typename T, int kCount>
__global__ void __launch_bounds__(kMostThreads)
    backward_long_kernel(const T* dy, const T* x, const T* weight, const float* inv_rms,
                         int64_t rows, int64_t D, T* dx, float* partials, T* normed) {
  using V = Vector<T, kCount>;
  using Part = RowPart<T, kCount>;
  const int64_t first = int64_t{threadIdx.x} * kCount, step = int64_t{blockDim.x} * kCount;
  float* dweight = partials + blockIdx.x * D;
  for (int64_t i = threadIdx.x; i < D; i += blockDim.x) dweight[i] = 0;
  __syncthreads();
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = row * D;
    float dot = 0;
    for (int64_t i = first; i < D; i += step) {
      dot +=
          Part::load(dy, x, dx, inv_rms, row, at + i)
              .dot(V::load(weight + i), dweight + i, normed == nullptr ? nullptr : normed + at + i);
    }
    const float mean = block_sum(dot) / static_cast<float>(D);
    for (int64_t i = first; i < D; i += step) {
      const Part part = Part::load(dy, x, dx, inv_rms, row, at + i);
      part.gradient(V::load(weight + i), mean).store(dx + at + i);
    }
  }
}

// A column a lane: warps add up every eighth row of partials, then their sums in order.
constexpr int kPartialWarps = 8;
__global__ void add_partials_kernel(const float* partials, int64_t blocks, int64_t D,
                                    float* dweight) {
  __shared__ float of_warps[kPartialWarps][kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int64_t column = int64_t{blockIdx.x} * kWarp + lane;
  float sum = 0;
  if (column < D) {
#pragma unroll 8
    for (int64_t block = warp; block < blocks; block += kPartialWarps) {
      sum += partials[block * D + column];
    }
  }
  of_warps[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= D) return;
  float all = 0;
#pragma unroll
  for (int i = 0; i < kPartialWarps; ++i) all += of_warps[i][lane];
  dweight[column] += all;
}

template <typename T, bool kAdd>
void forward(const RmsNormForward<T>& a, const T* delta, T* sum, cudaStream_t stream) {
  if (a.rows == 0) return;
  const auto grid = static_cast<unsigned>(a.rows);
  const bool wide = a.columns % kWide<T> == 0 && is_wide(a.x) && is_wide(a.weight) &&
                    is_wide(a.y) && (!kAdd || (is_wide(delta) && is_wide(sum)));
  const auto run = [&]<int kCount>() {
    const int64_t vectors = a.columns / kCount;
    const auto kernel = vectors <= kMostThreads ? forward_kernel<T, kCount, kAdd>
                                                : forward_long_kernel<T, kCount, kAdd>;
    launch("RMSNorm", kernel, grid, threads_for(vectors), stream, a.x, delta, a.weight, a.eps,
           a.columns, sum, a.y, a.inv_rms);
  };
  if (wide) {
    run.template operator()<kWide<T>>();
  } else {
    run.template operator()<1>();
  }
}

// Registers are shared out for the threads that there are.
template <typename T, int kCount>
auto backward_kernel_for(int64_t vectors) {
  if (vectors <= 256) return backward_kernel<T, kCount, 256>;
  if (vectors <= 384) return backward_kernel<T, kCount, 384>;
  if (vectors <= 512) return backward_kernel<T, kCount, 512>;
  if (vectors <= kMostThreads) return backward_kernel<T, kCount, kMostThreads>;
  return backward_long_kernel<T, kCount>;
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
  const bool wide = D % kWide<T> == 0 && is_wide(a.dy) && is_wide(a.x) && is_wide(a.weight) &&
                    is_wide(a.dx) && is_wide(a.normed);
  const auto run = [&]<int kCount>() {
    const int64_t vectors = D / kCount;
    launch("RMSNorm, backward", backward_kernel_for<T, kCount>(vectors), grid, threads_for(vectors),
           stream, a.dy, a.x, a.weight, a.inv_rms, a.rows, D, a.dx, partials, a.normed);
  };
  if (wide) {
    run.template operator()<kWide<T>>();
  } else {
    run.template operator()<1>();
  }
  launch("RMSNorm, weight gradient", add_partials_kernel, blocks_for(D, kWarp),
         kPartialWarps * kWarp, stream, partials, grid, D, a.dweight);
}

template void rms_norm(const RmsNormForward<float>&, cudaStream_t);
template void rms_norm(const RmsNormForward<bf16>&, cudaStream_t);
template void add_rms_norm(const AddRmsNormForward<float>&, cudaStream_t);
template void add_rms_norm(const AddRmsNormForward<bf16>&, cudaStream_t);
template void rms_norm_backward(const RmsNormBackward<float>&, float*, int, cudaStream_t);
template void rms_norm_backward(const RmsNormBackward<bf16>&, float*, int, cudaStream_t);

}  // namespace borealis::cuda
