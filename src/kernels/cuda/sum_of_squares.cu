#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/gpu_needs.h"
#include "kernels/grad_norm.h"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int64_t kElements = 65536;  // of a block, which makes one partial sum: a whole subtree
constexpr int kLeaves = kElements / kSumBlock;
static_assert(kElements == kGpuElementsOfPartialSum);  // for which memory is planned
static_assert(kLeaves == 2 * kWarp && kLeaves % (kThreads / kWarp) == 0);

// In f64, where the square of an f32 is exact.
__device__ double square(float v) { return double{v} * double{v}; }

// Of this thread's share of x[0 .. count), where `threads` of them have it all.
template <int kCount>
__device__ double squares_of(const float* x, int64_t count, int thread, int threads) {
  using V = Vector<float, kCount>;
  const int64_t in_vectors = count / kCount * kCount;
  double sum = 0;
#pragma unroll 8
  for (int64_t i = int64_t{thread} * kCount; i < in_vectors; i += int64_t{threads} * kCount) {
    const V v = V::load(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum += square(v[k]);
  }
  if (in_vectors + thread < count) sum += square(x[in_vectors + thread]);
  return sum;
}

// A leaf is a warp's, of neighbours first: the nodes of the tree.
template <int kCount>
__global__ void partials_kernel(const float* x, int64_t count, double* partials) {
  __shared__ double of_leaves[kLeaves];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  for (int leaf = warp; leaf < kLeaves; leaf += kThreads / kWarp) {
    const int64_t begin = blockIdx.x * kElements + leaf * kSumBlock;
    const int64_t left = max(int64_t{0}, min(count - begin, kSumBlock));
    const double sum = warp_sum(squares_of<kCount>(x + begin, left, lane, kWarp));
    if (lane == 0) of_leaves[leaf] = sum;
  }
  __syncthreads();
  if (warp > 0) return;
  double sum = of_leaves[2 * lane] + of_leaves[2 * lane + 1];
  for (int mask = 1; mask < kWarp; mask *= 2) sum += __shfl_xor_sync(kAllLanes, sum, mask);
  if (lane == 0) partials[blockIdx.x] = sum;
}

template <int kCount>
__global__ void row_partials_kernel(const float* matrix, const int32_t* rows, int64_t row_size,
                                    double* partials) {
  const float* row = matrix + rows[blockIdx.x] * row_size;
  const double sum =
      block_sum(squares_of<kCount>(row, row_size, static_cast<int>(threadIdx.x), kThreads));
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// Neighbours first, in place.
__global__ void total_kernel(double* partials, int64_t count, double* sum) {
  for (int64_t width = 1; width < count; width *= 2) {
    for (int64_t i = 2 * width * threadIdx.x; i + width < count; i += 2 * width * blockDim.x) {
      partials[i] += partials[i + width];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) *sum = count > 0 ? partials[0] : 0;
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

void sum_of_squares_of_rows(const float* matrix, const int32_t* rows, int64_t count,
                            int64_t row_size, double* partials, double* sum, cudaStream_t stream) {
  constexpr auto kVector = kWide<float>;
  const bool wide = is_wide(matrix) && row_size % kVector == 0;
  if (count > 0) {
    launch("sum of squares of rows", wide ? row_partials_kernel<kVector> : row_partials_kernel<1>,
           static_cast<unsigned>(count), kThreads, stream, matrix, rows, row_size, partials);
  }
  launch("sum of squares of rows", total_kernel, 1, kThreads, stream, partials, count, sum);
}

}  // namespace borealis::cuda
