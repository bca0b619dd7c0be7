#include <cmath>

#include "base/check.h"
#include "kernels/cuda/attention_head.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

struct Layout {
  int64_t T, H, K, C, stride, rows;
  float scale;
};
Layout layout_of(const AttentionShape& s) {
  CHECK(s.head_dim <= kMostHeadDim, "head size");
  return {s.seq_length,
          s.num_heads,
          s.num_key_value_heads,
          s.head_dim,
          s.row_stride(),
          s.batch_size * s.seq_length,
          1.0f / sqrtf(static_cast<float>(s.head_dim))};
}

// The row and head of this warp; false behind the last.
__device__ bool place_of_warp(const Layout& at, int64_t heads, int64_t& row, int64_t& head) {
  const int64_t i = blockIdx.x * int64_t{kWarps} + threadIdx.x / kWarp;
  row = i / heads;
  head = i % heads;
  return row < at.rows;
}
__device__ int64_t first_key(const int32_t* document_starts, const Layout& at, int64_t row) {
  const int64_t sequence = row / at.T * at.T;
  return sequence + (document_starts == nullptr ? 0 : document_starts[row]);
}

template <typename T>
__global__ void forward_kernel(Layout at, const T* qkv, const int32_t* document_starts, T* out,
                               float* lse) {
  int64_t row, head;
  if (!place_of_warp(at, at.H, row, head)) return;
  const T* keys = qkv + (at.H + head / (at.H / at.K)) * at.C;
  float q[kParts], mean[kParts];
  load_head(qkv + row * at.stride + head * at.C, at.C, q);
  const float log_sum = attend(q, keys, keys + at.K * at.C, at.stride,
                               first_key(document_starts, at, row), row, at.C, at.scale, mean);
  store_head(mean, at.C, out + (row * at.H + head) * at.C);
  if (threadIdx.x % kWarp == 0) lse[(row / at.T * at.H + head) * at.T + row % at.T] = log_sum;
}

// dots[row, head] = out . dout, which every score of the row subtracts.
template <typename T>
__global__ void dots_kernel(Layout at, const T* out, const T* dout, float* dots) {
  int64_t row, head;
  if (!place_of_warp(at, at.H, row, head)) return;
  float o[kParts], d[kParts];
  const int64_t place = row * at.H + head;
  load_head(out + place * at.C, at.C, o);
  load_head(dout + place * at.C, at.C, d);
  const float sum = dot(o, d);
  if (threadIdx.x % kWarp == 0) dots[place] = sum;
}

template <typename T>
__global__ void query_gradient_kernel(Layout at, const T* qkv, const T* dout, const float* lse,
                                      const float* dots, const int32_t* document_starts, T* dqkv) {
  int64_t row, head;
  if (!place_of_warp(at, at.H, row, head)) return;
  const int64_t kv = head / (at.H / at.K), place = row * at.H + head;
  float q[kParts], d[kParts], k[kParts], v[kParts], dq[kParts] = {};
  load_head(qkv + row * at.stride + head * at.C, at.C, q);
  load_head(dout + place * at.C, at.C, d);
  const float log_sum = lse[(row / at.T * at.H + head) * at.T + row % at.T], mine = dots[place];
  for (int64_t key = first_key(document_starts, at, row); key <= row; ++key) {
    const T* from = qkv + key * at.stride + (at.H + kv) * at.C;
    load_head(from, at.C, k);
    load_head(from + at.K * at.C, at.C, v);
    const float p = exp2f(dot(q, k) * at.scale * kLog2E - log_sum);
    add_scaled(p * (dot(d, v) - mine) * at.scale, k, dq);
  }
  store_head(dq, at.C, dqkv + row * at.stride + head * at.C);
}

// A key a warp, over the queries that see it, head by head of its group, in order.
template <typename T>
__global__ void key_gradient_kernel(Layout at, const T* qkv, const T* dout, const float* lse,
                                    const float* dots, const int32_t* document_starts, T* dqkv) {
  int64_t row, kv;
  if (!place_of_warp(at, at.K, row, kv)) return;
  const int64_t group = at.H / at.K, end = (row / at.T + 1) * at.T;
  float q[kParts], d[kParts], k[kParts], v[kParts], dk[kParts] = {}, dv[kParts] = {};
  const T* from = qkv + row * at.stride + (at.H + kv) * at.C;
  load_head(from, at.C, k);
  load_head(from + at.K * at.C, at.C, v);
  for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
    for (int64_t query = row; query < end; ++query) {
      if (first_key(document_starts, at, query) > row) break;  // starts never descend
      const int64_t place = query * at.H + head;
      load_head(qkv + query * at.stride + head * at.C, at.C, q);
      load_head(dout + place * at.C, at.C, d);
      const float log_sum = lse[(query / at.T * at.H + head) * at.T + query % at.T];
      const float p = exp2f(dot(q, k) * at.scale * kLog2E - log_sum);
      add_scaled(p, d, dv);
      add_scaled(p * (dot(d, v) - dots[place]) * at.scale, q, dk);
    }
  }
  T* to = dqkv + row * at.stride + (at.H + kv) * at.C;
  store_head(dk, at.C, to);
  store_head(dv, at.C, to + at.K * at.C);
}

unsigned blocks_of(const Layout& at, int64_t heads) { return blocks_for(at.rows * heads, kWarps); }

}  // namespace

template <typename T>
void attention(const AttentionForward<T>& a, cudaStream_t stream) {
  const Layout at = layout_of(a.shape);
  if (at.rows == 0) return;
  launch("attention", forward_kernel<T>, blocks_of(at, at.H), kWarps * kWarp, stream, at, a.qkv,
         a.document_starts, a.out, a.lse);
}

template <typename T>
void attention_backward(const AttentionBackward<T>& a, float* dots, cudaStream_t stream) {
  const Layout at = layout_of(a.shape);
  if (at.rows == 0) return;
  const unsigned queries = blocks_of(at, at.H), keys = blocks_of(at, at.K);
  constexpr int kThreads = kWarps * kWarp;
  launch("attention, dots", dots_kernel<T>, queries, kThreads, stream, at, a.out, a.dout, dots);
  launch("attention, query gradient", query_gradient_kernel<T>, queries, kThreads, stream, at,
         a.qkv, a.dout, a.lse, dots, a.document_starts, a.dqkv);
  launch("attention, key gradient", key_gradient_kernel<T>, keys, kThreads, stream, at, a.qkv,
         a.dout, a.lse, dots, a.document_starts, a.dqkv);
}

template void attention(const AttentionForward<float>&, cudaStream_t);
template void attention(const AttentionForward<bf16>&, cudaStream_t);
template void attention_backward(const AttentionBackward<float>&, float*, cudaStream_t);
template void attention_backward(const AttentionBackward<bf16>&, float*, cudaStream_t);

}  // namespace borealis::cuda
