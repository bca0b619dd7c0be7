// Causal grouped-query attention, exact, without the T x T matrices (Dao et al., "FlashAttention",
// 2022; backward in the form of Dao, "FlashAttention-2", 2023).
//   B sequences of T tokens, H query heads, K key/value heads, C head dim; query head h reads
//   key/value head h / (H/K). qkv [B*T, (H + 2K) * C]: query heads, key heads, value heads.
// A sequence may hold several documents, which attention does not cross: document_starts [B, T] is
// the position, within the sequence, of the first token of each token's document (0 <= start <=
// position, never descending along a sequence). nullptr: a sequence is one document. Work is in
// proportion to the scores within documents, rounded up to tiles.
// T_ in {float, bf16} is how tensors are stored. Arithmetic is f32; with bf16 tensors on a CPU with
// AVX512-BF16 or AMX, products are of bf16 operands (probabilities and score gradients are rounded)
// with f32 sums. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace borealis {

struct AttentionShape {
  int64_t batch_size = 0;           // B
  int64_t seq_length = 0;           // T
  int64_t num_heads = 0;            // H
  int64_t num_key_value_heads = 0;  // K
  int64_t head_dim = 0;             // C

  int64_t group_size() const { return num_heads / num_key_value_heads; }
  int64_t row_stride() const { return (num_heads + 2 * num_key_value_heads) * head_dim; }
};

// Floats of scratch for forward and for backward with that many OpenMP threads. It should begin on
// a cache line: AMX loads tiles from elsewhere at a sixth of the rate.
template <typename T_>
int64_t attention_forward_scratch_floats(const AttentionShape& shape, int threads);
template <typename T_>
int64_t attention_backward_scratch_floats(const AttentionShape& shape, int threads);

// out [B*T, H*C] = softmax(Q K^T / sqrt(C), causal) V; lse [B, H, T] = log2 of the softmax's
// denominators (of exponents in base 2), kept for backward.
template <typename T_>
void attention_forward(const AttentionShape& shape, const T_* qkv, T_* out, float* lse,
                       float* scratch, int threads, const int32_t* document_starts = nullptr);

// The largest block of positions that any implementation works on: passes over pieces of a text
// begin at multiples of it.
inline constexpr int64_t kAttentionPieceRows = 192;

// dqkv [B*T, (H + 2K) * C], overwritten: the gradients of qkv given dout [B*T, H*C].
template <typename T_>
void attention_backward(const AttentionShape& shape, const T_* qkv, const T_* out, const T_* dout,
                        const float* lse, T_* dqkv, float* scratch, int threads,
                        const int32_t* document_starts = nullptr);

// Keys and values of earlier tokens, for generation: S sequences of up to `capacity` positions.
// They are kept as tensors are stored, which is what they were rounded to when they left their
// product: the bits are those of an f32 cache, and in bf16 half the bytes.
template <typename T_>
struct KeyValueCache {
  T_* keys = nullptr;    // [S, K, capacity, C], turned to their positions
  T_* values = nullptr;  // [S, K, capacity, C]
  int64_t capacity = 0;
};

// Which token each of R rows is.
struct CacheRows {
  int64_t count = 0;                   // R
  const int32_t* sequences = nullptr;  // [R], kNoSequence: a row that fills up a batch
  const int32_t* positions = nullptr;  // [R], below the capacity
};
inline constexpr int32_t kNoSequence = -1;

// Puts the keys and values of qkv [R, (H + 2K) * C] to their places.
template <typename T_>
void cache_keys_values(const AttentionShape& shape, const T_* qkv, const CacheRows& rows,
                       const KeyValueCache<T_>& cache);

// out [R, H*C]: the queries of qkv, each over positions 0 .. its own of its sequence in the cache,
// where its own key and value are already; rows without a sequence are left alone. Arithmetic is
// f32, and a row's result does not depend on the other rows. scratch:
// attention_decode_scratch_floats.
int64_t attention_decode_scratch_floats(const AttentionShape& shape, int64_t rows);
template <typename T_>
void attention_decode(const AttentionShape& shape, const T_* qkv, const CacheRows& rows,
                      const KeyValueCache<T_>& cache, T_* out, float* scratch);

// The same for the tokens of a text from position `first` on, a multiple of kAttentionPieceRows,
// where keys and values of all its T positions lie in the cache; B = 1. qkv [T - first,
// (H + 2K) * C], of which only queries are read; out [T - first, H*C], lse [H, T - first]: the bits
// that one pass over all positions gives. Scratch grows with T alone: what the longest text needs
// is enough for shorter ones.
template <typename T_>
int64_t attention_prefix_scratch_floats(const AttentionShape& shape, int threads);
template <typename T_>
void attention_forward_prefix(const AttentionShape& shape, int64_t first, const T_* qkv,
                              int32_t sequence, const KeyValueCache<T_>& cache, T_* out, float* lse,
                              float* scratch, int threads);

}  // namespace borealis
