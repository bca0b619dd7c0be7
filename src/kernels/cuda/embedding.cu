#include <cub/device/device_radix_sort.cuh>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T, int kCount>
__global__ void __launch_bounds__(kMostThreads)
    forward_kernel(const int32_t* tokens, const T* weight, int64_t D, T* out) {
  using V = Vector<T, kCount>;
  const T* from = weight + int64_t{tokens[blockIdx.x]} * D;
  T* to = out + blockIdx.x * D;
  for (int64_t i = threadIdx.x; i < D / kCount; i += blockDim.x) {
    V::load(from + i * kCount).store(to + i * kCount);
  }
}

__global__ void count_kernel(int32_t* rows, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i < count) rows[i] = static_cast<int32_t>(i);
}

// blockIdx.x is a place in the sorted order; the first of a token's adds all of them up in order, a
// column a thread. A common token has hundreds: several are on their way before the first is added.
template <typename T>
__global__ void backward_kernel(const int32_t* tokens, const int32_t* rows, int64_t count,
                                const T* dout, int64_t D, float* dweight) {
  const int64_t first = blockIdx.x;
  const int32_t token = tokens[first];
  if (first > 0 && tokens[first - 1] == token) return;
  const int64_t column = blockIdx.y * int64_t{blockDim.x} + threadIdx.x;
  if (column >= D) return;
  float* to = dweight + int64_t{token} * D + column;
  constexpr int kAhead = 8;
  float sum = *to;
  bool goes_on = true;
  for (int64_t i = first; goes_on; i += kAhead) {
    bool is_one[kAhead];
    T values[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; ++u) is_one[u] = i + u < count && tokens[i + u] == token;
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (is_one[u]) values[u] = dout[int64_t{rows[i + u]} * D + column];
    }
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (is_one[u]) sum += widen(values[u]);
    }
    goes_on = is_one[kAhead - 1];
  }
  *to = sum;
}

constexpr size_t kAlignment = 256;
size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The library tells what it needs only where there is a device: a second copy of keys and values,
// and some counters. What it is given is checked when it is called.
size_t sort_bytes(int64_t rows) {
  constexpr size_t kCounters = size_t{2} << 20;
  return 2 * aligned(static_cast<size_t>(rows) * sizeof(int32_t)) + kCounters;
}

}  // namespace

template <typename T>
void embedding(const EmbeddingForward<T>& a, cudaStream_t stream) {
  if (a.rows == 0) return;
  const auto run = [&]<int kCount>() {
    launch("embedding", forward_kernel<T, kCount>, static_cast<unsigned>(a.rows),
           threads_for(a.columns / kCount), stream, a.tokens, a.weight, a.columns, a.out);
  };
  if (a.columns % kWide<T> == 0 && is_wide(a.weight) && is_wide(a.out)) {
    run.template operator()<kWide<T>>();
  } else {
    run.template operator()<1>();
  }
}

size_t embedding_backward_workspace_bytes(int64_t rows) {
  return 3 * aligned(static_cast<size_t>(rows) * sizeof(int32_t)) + sort_bytes(rows);
}

// Radix sort is stable: rows of one token stay in their order.
template <typename T>
void embedding_backward(const EmbeddingBackward<T>& a, void* workspace, size_t workspace_bytes,
                        cudaStream_t stream) {
  if (a.rows == 0) return;
  const size_t part = aligned(static_cast<size_t>(a.rows) * sizeof(int32_t));
  auto* at = static_cast<std::byte*>(workspace);
  auto* numbers = reinterpret_cast<int32_t*>(at);
  auto* tokens = reinterpret_cast<int32_t*>(at + part);
  auto* rows = reinterpret_cast<int32_t*>(at + 2 * part);
  size_t bytes = workspace_bytes - 3 * part;
  launch("embedding, backward", count_kernel, blocks_for(a.rows, kThreads), kThreads, stream,
         numbers, a.rows);
  check(cub::DeviceRadixSort::SortPairs(at + 3 * part, bytes, a.tokens, tokens, numbers, rows,
                                        static_cast<int>(a.rows), 0, 32, stream),
        "sorting tokens");
  const dim3 grid(static_cast<unsigned>(a.rows), blocks_for(a.columns, kThreads));
  launch("embedding, backward", backward_kernel<T>, grid, kThreads, stream, tokens, rows, a.rows,
         a.dout, a.columns, a.dweight);
}

template void embedding(const EmbeddingForward<float>&, cudaStream_t);
template void embedding(const EmbeddingForward<bf16>&, cudaStream_t);
template void embedding_backward(const EmbeddingBackward<float>&, void*, size_t, cudaStream_t);
template void embedding_backward(const EmbeddingBackward<bf16>&, void*, size_t, cudaStream_t);

}  // namespace borealis::cuda
