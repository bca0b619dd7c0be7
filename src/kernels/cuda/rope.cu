#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;

// A thread turns kCount pairs: elements j .. and j + C/2 .. of a head.
template <typename T, int kCount>
__global__ void rope_kernel(T* rows, int64_t threads, int64_t row_stride, int64_t heads,
                            int64_t half, const int32_t* positions, RopeTableOnDevice table,
                            float direction) {
  using V = Vector<T, kCount>;
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= threads) return;
  const int64_t parts = half / kCount;
  const int64_t j = i % parts * kCount, head = i / parts % heads, row = i / parts / heads;
  const int64_t position = positions == nullptr ? row % table.seq_length : positions[row];
  const float* cos = table.cos + position * half + j;
  const float* sin = table.sin + position * half + j;
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
  if (half % kWide<T> == 0 && turned.row_stride % kWide<T> == 0 && is_wide(rows)) {
    turn.template operator()<kWide<T>>();
  } else {
    turn.template operator()<1>();
  }
}

template void rope(float*, int64_t, const RopeRows&, const RopeTableOnDevice&, int, cudaStream_t);
template void rope(bf16*, int64_t, const RopeRows&, const RopeTableOnDevice&, int, cudaStream_t);

}  // namespace borealis::cuda
