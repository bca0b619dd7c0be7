// Causal grouped-query attention, exact, without the T x T matrices (Dao et al., "FlashAttention",
// 2022; backward in the form of Dao, "FlashAttention-2", 2023).
//   B sequences of T tokens, H query heads, K key/value heads, C head dim; query head h reads
//   key/value head h / (H/K). qkv [B*T, (H + 2K) * C]: query heads, key heads, value heads.
// A sequence may hold several documents, which attention does not cross: document_starts [B, T] is
// the position, within the sequence, of the first token of each token's document (0 <= start <=
// position, never descending along a sequence). nullptr: a sequence is one document. Work is in
// proportion to the scores within documents, rounded up to tiles.
// T_ in {float, bf16} is how tensors are stored. Arithmetic is f32; with bf16 tensors on a CPU with
// AVX512-BF16, products are of bf16 operands (probabilities and score gradients are rounded) with
// f32 sums. Results do not depend on the number of threads.
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

// Floats of scratch for forward and for backward with that many OpenMP threads.
template <typename T_>
int64_t attention_forward_scratch_floats(const AttentionShape& shape, int threads);
template <typename T_>
int64_t attention_backward_scratch_floats(const AttentionShape& shape, int threads);

// out [B*T, H*C] = softmax(Q K^T / sqrt(C), causal) V; lse [B, H, T] = log2 of the softmax's
// denominators (of exponents in base 2), kept for backward.
template <typename T_>
void attention_forward(const AttentionShape& shape, const T_* qkv, T_* out, float* lse,
                       float* scratch, int threads, const int32_t* document_starts = nullptr);

// dqkv [B*T, (H + 2K) * C], overwritten: the gradients of qkv given dout [B*T, H*C].
template <typename T_>
void attention_backward(const AttentionShape& shape, const T_* qkv, const T_* out, const T_* dout,
                        const float* lse, T_* dqkv, float* scratch, int threads,
                        const int32_t* document_starts = nullptr);

// One new token against a cache, for generation: q [H*C] f32; keys, values [K, capacity, C] f32, of
// which the first `length` positions are filled; out [H*C] f32.
void attention_decode(const AttentionShape& shape, const float* q, const float* keys,
                      const float* values, int64_t capacity, int64_t length, float* out);

}  // namespace borealis
