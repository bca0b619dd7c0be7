#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int64_t kElements = 65536;  // of a block, which makes one partial sum

// In f64, where the square of an f32 is exact.
__device__ double square(float v) { return double{v} * double{v}; }

template <int kCount>
__global__ void partials_kernel(const float* x, int64_t count, double* partials) {
  using V = Vector<float, kCount>;
  const int64_t begin = blockIdx.x * kElements, end = min(count, begin + kElements);
  const int64_t in_vectors = begin + (end - begin) / kCount * kCount;
  double sum = 0;
#pragma unroll 8
  for (int64_t i = begin + int64_t{threadIdx.x} * kCount; i < in_vectors; i += kThreads * kCount) {
    const V v = V::load(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum += square(v[k]);
  }
  if (in_vectors + threadIdx.x < end) sum += square(x[in_vectors + threadIdx.x]);
  const double all = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = all;
}

__global__ void total_kernel(const double* partials, int64_t count, double* sum) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) mine += partials[i];
  const double all = block_sum(mine);
  if (threadIdx.x == 0) *sum = all;
}

}  // namespace

int64_t sum_of_squares_partials(int64_t count) { return (count + kElements - 1) / kElements; }

void sum_of_squares(const float* x, int64_t count, double* partials, double* sum,
                    cudaStream_t stream) {
  const int64_t blocks = sum_of_squares_partials(count);
  if (blocks > 0) {
    launch("sum of squares", is_wide(x) ? partials_kernel<kWide<float>> : partials_kernel<1>,
           static_cast<unsigned>(blocks), kThreads, stream, x, count, partials);
  }
  launch("sum of squares", total_kernel, 1, kThreads, stream, partials, blocks, sum);
}

}  // namespace borealis::cuda
