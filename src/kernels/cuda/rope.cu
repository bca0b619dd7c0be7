#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

__device__ int64_t position_of(const int32_t* positions, int64_t row, int64_t seq_length) {
  return positions == nullptr ? static_cast<uint32_t>(row) % static_cast<uint32_t>(seq_length)
                              : positions[row];
}

// A block a row. A thread has vectors in the same place of several heads and gets the other half's
// from the lane that has them; so heads are 2, 4, ... 32 vectors long.
constexpr int kRowThreads = 128, kAtOnce = 4;
template <typename T, int kCount>
__global__ void __launch_bounds__(kRowThreads)
    row_kernel(T* rows, int64_t row_stride, int64_t heads, int64_t half, const int32_t* positions,
               RopeTableOnDevice table, float direction) {
  using V = Vector<T, kCount>;
  const int parts = static_cast<int>(half / kCount);
  const int part = threadIdx.x & (2 * parts - 1);
  const bool upper = part >= parts;
  const int64_t row = blockIdx.x, vectors = heads * 2 * parts;
  const int64_t in_table =
      position_of(positions, row, table.seq_length) * half + (part & (parts - 1)) * kCount;
  T* at = rows + row * row_stride;
  float c[kCount], s[kCount];
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    c[k] = table.cos[in_table + k];
    s[k] = (upper ? direction : -direction) * table.sin[in_table + k];
  }
  for (int64_t first = threadIdx.x; first - threadIdx.x < vectors; first += kAtOnce * kRowThreads) {
    V mine[kAtOnce] = {};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int64_t i = first + u * kRowThreads;
      if (i < vectors) mine[u] = V::load(at + i * kCount);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int64_t i = first + u * kRowThreads;
      const V other = from_lane_xor(mine[u], parts);
#pragma unroll
      for (int k = 0; k < kCount; ++k) mine[u].set(k, mine[u][k] * c[k] + other[k] * s[k]);
      if (i < vectors) mine[u].store(at + i * kCount);
    }
  }
}

constexpr int kThreads = 256;

// For other heads: a thread turns kCount pairs: elements j .. and j + C/2 .. of a head.
template <typename T, int kCount>
__global__ void rope_kernel(T* rows, int64_t threads, int64_t row_stride, int64_t heads,
                            int64_t half, const int32_t* positions, RopeTableOnDevice table,
                            float direction) {
  using V = Vector<T, kCount>;
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= threads) return;
  const int64_t parts = half / kCount;
  const int64_t j = i % parts * kCount, head = i / parts % heads, row = i / parts / heads;
  const int64_t in_table = position_of(positions, row, table.seq_length) * half + j;
  const float* cos = table.cos + in_table;
  const float* sin = table.sin + in_table;
  T* lower_at = rows + row * row_stride + head * 2 * half + j;
  T* upper_at = lower_at + half;
  V lower = V::load(lower_at), upper = V::load(upper_at);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float a = lower[k], b = upper[k], c = cos[k], s = direction * sin[k];
    lower.set(k, a * c - b * s);
    upper.set(k, b * c + a * s);
  }
  lower.store(lower_at);
  upper.store(upper_at);
}

}  // namespace

template <typename T>
void rope(T* rows, int64_t count, const RopeRows& turned, const RopeTableOnDevice& table,
          int direction, cudaStream_t stream) {
  const int64_t half = turned.head_dim / 2, pairs = count * turned.heads * half;
  if (pairs == 0) return;
  const auto turn = [&]<int kCount>() {
    const int64_t threads = pairs / kCount;
    launch("RoPE", rope_kernel<T, kCount>, blocks_for(threads, kThreads), kThreads, stream, rows,
           threads, turned.row_stride, turned.heads, half, turned.positions, table,
           static_cast<float>(direction));
  };
  if (half % kWide<T> != 0 || turned.row_stride % kWide<T> != 0 || !is_wide(rows)) {
    turn.template operator()<1>();
  } else if (kWarp % (2 * half / kWide<T>) == 0) {
    launch("RoPE", row_kernel<T, kWide<T>>, static_cast<unsigned>(count), kRowThreads, stream, rows,
           turned.row_stride, turned.heads, half, turned.positions, table,
           static_cast<float>(direction));
  } else {
    turn.template operator()<kWide<T>>();
  }
}

template void rope(float*, int64_t, const RopeRows&, const RopeTableOnDevice&, int, cudaStream_t);
template void rope(bf16*, int64_t, const RopeRows&, const RopeTableOnDevice&, int, cudaStream_t);

}  // namespace borealis::cuda
