#include "base/dtype.h"
#include "kernels/cuda/cross_entropy_cluster.h"

#ifdef __CUDACC__
#include <cooperative_groups.h>

#include "kernels/cross_entropy.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/softmax.cuh"
#endif

namespace borealis::cuda {

#ifndef __CUDACC__  // the emulated grid has no clusters

template <typename T>
bool cluster_cross_entropy_gradient(T*, const int32_t*, int64_t, int64_t, float, float*,
                                    cudaStream_t) {
  return false;
}

#else

namespace {

// Clusters of 8 were faster than of 4 or 16. The shared memory of a multiprocessor has room for
// three blocks of 256000 logits of bf16, and its registers then have it, too.
constexpr int kBlocks = 8, kThreads = 512, kBlocksAtATime = 3;

// Vectors of a row that each block of its cluster has; the last one has what is left.
__host__ __device__ int64_t vectors_of_block(int64_t vectors) {
  return (vectors + kBlocks - 1) / kBlocks;
}

template <typename T>
__device__ Vector<T, kWide<T>> filled(float value) {
  Vector<T, kWide<T>> vector;
#pragma unroll
  for (int k = 0; k < kWide<T>; ++k) vector.set(k, value);
  return vector;
}

template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocksAtATime)
    gradient_kernel(T* logits, const int32_t* targets, int64_t V, float scale, float* loss) {
#if __CUDA_ARCH__ >= 900
  namespace cg = cooperative_groups;
  constexpr int kAtOnce = 4;
  using Values = Vector<T, kWide<T>>;
  extern __shared__ uint4 shared[];
  auto* part = reinterpret_cast<Values*>(shared);
  __shared__ Softmax of_block;

  const cg::cluster_group cluster = cg::this_cluster();
  const int rank = static_cast<int>(blockIdx.x % kBlocks);
  const int64_t row = blockIdx.x / kBlocks, all_vectors = V / kWide<T>;
  const int64_t first = rank * vectors_of_block(all_vectors);
  const auto vectors =
      static_cast<int>(max(int64_t{0}, min(vectors_of_block(all_vectors), all_vectors - first)));
  T* at = logits + row * V + first * kWide<T>;
  const int32_t target = targets[row];
  if (target == kNoTarget) {  // so for all of the cluster
    if (rank == 0 && threadIdx.x == 0) loss[row] = 0;
    const Values zero = filled<T>(0.0f);
    for (int i = threadIdx.x; i < vectors; i += kThreads) store_streaming(zero, at + i * kWide<T>);
    return;
  }

  const Values nothing = filled<T>(-INFINITY);
  Softmax mine = Softmax::of_nothing();
  for (int first_of_batch = threadIdx.x; first_of_batch < vectors;
       first_of_batch += kAtOnce * kThreads) {
    Values batch[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int i = first_of_batch + u * kThreads;
      batch[u] = i < vectors ? Values::load(at + i * kWide<T>) : nothing;
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int i = first_of_batch + u * kThreads;
      if (i < vectors) part[i] = batch[u];
    }
    mine = join<T>(mine, batch);
  }
  mine = block_join<T>(mine);
  if (threadIdx.x == 0) of_block = mine;
  cluster.sync();
  Softmax all = Softmax::of_nothing();
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
    all = join<T>(all, *cluster.map_shared_rank(&of_block, block));
  }
  cluster.barrier_arrive();  // a block's memory must be there until all have read it

  const auto in_part = static_cast<int>(target - first * kWide<T>);
  if (threadIdx.x == 0 && in_part >= 0 && in_part < vectors * kWide<T>) {
    loss[row] = logf(all.sum) + all.maximum - widen(reinterpret_cast<const T*>(part)[in_part]);
  }
  const float factor = scale / all.sum;
#pragma unroll 4
  for (int i = threadIdx.x; i < vectors; i += kThreads) {
    const Values values = part[i];
    store_streaming(softmax_gradient(values, all, factor, scale, in_part - i * kWide<T>),
                    at + i * kWide<T>);
  }
  cluster.barrier_wait();
#endif
}

int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "looking for the device");
  check(cudaDeviceGetAttribute(&value, attribute, device), "looking at the device");
  return value;
}

}  // namespace

template <typename T>
bool cluster_cross_entropy_gradient(T* logits, const int32_t* targets, int64_t rows, int64_t V,
                                    float scale, float* loss, cudaStream_t stream) {
  constexpr int kFirstWithClusters = 9;
  constexpr int64_t kStaticBytes = 1024;  // rather more than the kernel's own variables need
  const int64_t bytes = vectors_of_block(V / kWide<T>) * int64_t{sizeof(uint4)};
  if (rows == 0) return true;
  if (V % kWide<T> != 0 || !is_wide(logits) ||
      device_attribute(cudaDevAttrComputeCapabilityMajor) < kFirstWithClusters ||
      bytes + kStaticBytes > device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)) {
    return false;
  }
  const auto kernel = gradient_kernel<T>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "cross entropy");
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = kBlocks;
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(rows * kBlocks));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, logits, targets, V, scale, loss), "cross entropy");
  return true;
}

#endif

template bool cluster_cross_entropy_gradient(float*, const int32_t*, int64_t, int64_t, float,
                                             float*, cudaStream_t);
template bool cluster_cross_entropy_gradient(bf16*, const int32_t*, int64_t, int64_t, float, float*,
                                             cudaStream_t);

}  // namespace borealis::cuda
