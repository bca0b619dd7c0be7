#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T, int kCount>
__global__ void add_kernel(const T* a, const T* b, T* out, int64_t vectors) {
  using V = Vector<T, kCount>;
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= vectors) return;
  const V x = V::load(a + i * kCount), y = V::load(b + i * kCount);
  V sum;
#pragma unroll
  for (int k = 0; k < kCount; ++k) sum.set(k, x[k] + y[k]);
  sum.store(out + i * kCount);
}

}  // namespace

template <typename T>
void add(const T* a, const T* b, T* out, int64_t count, cudaStream_t stream) {
  const bool wide = is_wide(a) && is_wide(b) && is_wide(out);
  const int64_t vectors = wide ? count / kWide<T> : 0, done = vectors * kWide<T>;
  if (vectors > 0) {
    launch("residual", add_kernel<T, kWide<T>>, blocks_for(vectors, kThreads), kThreads, stream, a,
           b, out, vectors);
  }
  if (done < count) {
    launch("residual", add_kernel<T, 1>, blocks_for(count - done, kThreads), kThreads, stream,
           a + done, b + done, out + done, count - done);
  }
}

template void add(const float*, const float*, float*, int64_t, cudaStream_t);
template void add(const bf16*, const bf16*, bf16*, int64_t, cudaStream_t);

}  // namespace borealis::cuda
