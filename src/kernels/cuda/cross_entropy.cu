#include "kernels/cross_entropy.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/softmax.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 1024;

// A block a row: one pass for the denominator, and one that writes the gradient.
template <typename T, int kCount, bool kGradient>
__global__ void __launch_bounds__(kThreads)
    cross_entropy_kernel(T* logits, const int32_t* targets, int64_t V, float scale, float* loss) {
  using Values = Vector<T, kCount>;
  T* row = logits + blockIdx.x * V;
  const int32_t target = targets[blockIdx.x];
  if (target == kNoTarget) {
    if (threadIdx.x == 0) loss[blockIdx.x] = 0;
    if (kGradient) {
      for (int64_t i = threadIdx.x; i < V; i += blockDim.x) row[i] = narrow<T>(0.0f);
    }
    return;
  }
  Softmax mine = Softmax::of_nothing();
  // Several are on their way before the first is joined, each by itself as one would be.
  constexpr int kAhead = 4;
  const int64_t vectors = V / kCount, step = blockDim.x;
  for (int64_t first = threadIdx.x; first < vectors; first += kAhead * step) {
    Values ahead[kAhead][1];
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (const int64_t i = first + u * step; i < vectors) {
        ahead[u][0] = Values::load(row + i * kCount);
      }
    }
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (first + u * step < vectors) mine = join<T>(mine, ahead[u]);
    }
  }
  const Softmax all = block_join<T>(mine);
  if (threadIdx.x == 0) loss[blockIdx.x] = logf(all.sum) + all.maximum - widen(row[target]);
  if (!kGradient) return;
  __syncthreads();  // the target's logit was read
  const float factor = scale / all.sum;
  for (int64_t i = threadIdx.x; i < V / kCount; i += blockDim.x) {
    const Values v = Values::load(row + i * kCount);
    softmax_gradient(v, all, factor, scale, target - i * kCount).store(row + i * kCount);
  }
}

template <typename T, bool kGradient>
void visit_rows(T* logits, const int32_t* targets, int64_t rows, int64_t V, float scale,
                float* loss, cudaStream_t stream) {
  if (rows == 0) return;
  const auto grid = static_cast<unsigned>(rows);
  if (V % kWide<T> == 0 && is_wide(logits)) {
    launch("cross entropy", cross_entropy_kernel<T, kWide<T>, kGradient>, grid, kThreads, stream,
           logits, targets, V, scale, loss);
  } else {
    launch("cross entropy", cross_entropy_kernel<T, 1, kGradient>, grid, kThreads, stream, logits,
           targets, V, scale, loss);
  }
}

__global__ void __launch_bounds__(kThreads)
    add_up_kernel(const float* values, int64_t count, double* sum) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) mine += values[i];
  const double all = block_sum(mine);
  if (threadIdx.x == 0) *sum += all;
}

}  // namespace

template <typename T>
void cross_entropy_gradient(T* logits, const int32_t* targets, int64_t rows, int64_t V, float scale,
                            float* loss, cudaStream_t stream) {
  visit_rows<T, true>(logits, targets, rows, V, scale, loss, stream);
}

template <typename T>
void cross_entropy(const T* logits, const int32_t* targets, int64_t rows, int64_t V, float* loss,
                   cudaStream_t stream) {
  visit_rows<T, false>(const_cast<T*>(logits), targets, rows, V, 0, loss, stream);  // only read
}

void add_up(const float* values, int64_t count, double* sum, cudaStream_t stream) {
  launch("adding up losses", add_up_kernel, 1, kThreads, stream, values, count, sum);
}

template void cross_entropy_gradient(float*, const int32_t*, int64_t, int64_t, float, float*,
                                     cudaStream_t);
template void cross_entropy_gradient(bf16*, const int32_t*, int64_t, int64_t, float, float*,
                                     cudaStream_t);
template void cross_entropy(const float*, const int32_t*, int64_t, int64_t, float*, cudaStream_t);
template void cross_entropy(const bf16*, const int32_t*, int64_t, int64_t, float*, cudaStream_t);

}  // namespace borealis::cuda
