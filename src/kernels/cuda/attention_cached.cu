#include <cmath>

#include "base/check.h"
#include "kernels/cuda/attention_head.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = kWarps * kWarp;

// A warp a row and head: over positions 0 .. its own.
template <typename T>
struct Queries {
  const T* qkv;
  const int32_t* sequences;  // of rows, or null: `sequence`
  const int32_t* positions;  // of rows, or null: first + row
  int64_t first, count;
  int32_t sequence;
  int64_t H, K, C, stride;
  float scale;
  T* out;
  float* lse;  // [H, count], or null
};

template <typename T>
__global__ void query_kernel(Queries<T> a, KeyValueCache<T> cache) {
  const int64_t i = blockIdx.x * int64_t{kWarps} + threadIdx.x / kWarp;
  const int64_t row = i / a.H, head = i % a.H;
  if (row >= a.count) return;
  const int32_t sequence = a.sequences == nullptr ? a.sequence : a.sequences[row];
  if (sequence == kNoSequence) return;
  const int64_t last = a.positions == nullptr ? a.first + row : a.positions[row];
  const int64_t kv = head / (a.H / a.K);
  const int64_t from = (sequence * a.K + kv) * cache.capacity * a.C;
  float q[kParts], mean[kParts];
  load_head(a.qkv + row * a.stride + head * a.C, a.C, q);
  const float log_sum =
      attend(q, cache.keys + from, cache.values + from, a.C, 0, last, a.C, a.scale, mean);
  store_head(mean, a.C, a.out + (row * a.H + head) * a.C);
  if (a.lse != nullptr && threadIdx.x % kWarp == 0) a.lse[head * a.count + row] = log_sum;
}

// A block a row: its keys and values are one piece of qkv.
template <typename T>
__global__ void cache_kernel(const T* qkv, CacheRows rows, int64_t H, int64_t K, int64_t C,
                             KeyValueCache<T> cache) {
  const int64_t row = blockIdx.x;
  const int64_t sequence = rows.sequences[row], position = rows.positions[row];
  if (sequence == kNoSequence) return;
  const T* keys = qkv + row * (H + 2 * K) * C + H * C;
  for (int64_t i = threadIdx.x; i < K * C; i += blockDim.x) {
    const int64_t to = ((sequence * K + i / C) * cache.capacity + position) * C + i % C;
    cache.keys[to] = keys[i];
    cache.values[to] = keys[K * C + i];
  }
}

template <typename T>
Queries<T> queries_of(const AttentionShape& s, const T* qkv, int64_t count, T* out) {
  CHECK(s.head_dim <= kMostHeadDim, "head size");
  return {.qkv = qkv,
          .sequences = nullptr,
          .positions = nullptr,
          .first = 0,
          .count = count,
          .sequence = kNoSequence,
          .H = s.num_heads,
          .K = s.num_key_value_heads,
          .C = s.head_dim,
          .stride = s.row_stride(),
          .scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim)),
          .out = out,
          .lse = nullptr};
}

template <typename T>
void attend(const Queries<T>& queries, const KeyValueCache<T>& cache, cudaStream_t stream) {
  if (queries.count == 0) return;
  launch("attention over the cache", query_kernel<T>, blocks_for(queries.count * queries.H, kWarps),
         kThreads, stream, queries, cache);
}

}  // namespace

template <typename T>
void cache_keys_values(const CacheKeysValues<T>& a, cudaStream_t stream) {
  if (a.rows.count == 0) return;
  const AttentionShape& s = a.shape;
  launch("caching keys and values", cache_kernel<T>, static_cast<unsigned>(a.rows.count), kThreads,
         stream, a.qkv, a.rows, s.num_heads, s.num_key_value_heads, s.head_dim, a.cache);
}

template <typename T>
void attention_decode(const AttentionDecode<T>& a, cudaStream_t stream) {
  Queries<T> queries = queries_of(a.shape, a.qkv, a.rows.count, a.out);
  queries.sequences = a.rows.sequences;
  queries.positions = a.rows.positions;
  attend(queries, a.cache, stream);
}

template <typename T>
void attention_prefix(const AttentionPrefix<T>& a, cudaStream_t stream) {
  Queries<T> queries = queries_of(a.shape, a.qkv, a.shape.seq_length - a.first, a.out);
  queries.first = a.first;
  queries.sequence = a.sequence;
  queries.lse = a.lse;
  attend(queries, a.cache, stream);
}

template void cache_keys_values(const CacheKeysValues<float>&, cudaStream_t);
template void cache_keys_values(const CacheKeysValues<bf16>&, cudaStream_t);
template void attention_decode(const AttentionDecode<float>&, cudaStream_t);
template void attention_decode(const AttentionDecode<bf16>&, cudaStream_t);
template void attention_prefix(const AttentionPrefix<float>&, cudaStream_t);
template void attention_prefix(const AttentionPrefix<bf16>&, cudaStream_t);

}  // namespace borealis::cuda
