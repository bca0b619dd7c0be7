// What the attention driver (attention.cpp) runs on its threads: one block of queries of one head
// forward, some more of them backward. Three implementations: f32 arithmetic on any CPU
// (attention_f32.cpp, Highway), and products of bf16 (attention_bf16-inl.h) by AVX512-BF16
// (attention_avx512.cpp) or AMX (attention_amx.cpp).
//   B, T, H, K, C, G = H/K as in kernels/attention.h; group = one key/value head of one sequence.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/attention.h"
#include "kernels/cpu/attention_order.h"

namespace borealis {

// The documents of one sequence.
struct SequenceDocuments {
  const int32_t* starts = nullptr;  // [T], or nullptr: the sequence is one document
  int64_t seq_length = 0;

  SequenceDocuments(const int32_t* document_starts, const AttentionShape& s, int64_t b)
      : starts(document_starts == nullptr ? nullptr : document_starts + b * s.seq_length),
        seq_length(s.seq_length) {}

  int64_t first_key(int64_t query) const { return starts == nullptr ? 0 : starts[query]; }
  // Behind the last query that sees a key before `keys_end`.
  int64_t queries_end(int64_t keys_end) const {
    if (starts == nullptr || keys_end >= seq_length) return seq_length;
    return std::lower_bound(starts + keys_end, starts + seq_length, keys_end) - starts;
  }
};

// Queries are those of the positions from first_query on; keys and values those of all of them.
template <typename T>
struct AttentionForwardJob {
  AttentionShape shape;
  const T* queries;
  const T* keys;
  const T* values;
  int64_t position_stride;  // elements between the keys of a position and of the next
  int64_t head_stride;      // and between those of two key/value heads
  T* out;
  float* lse;
  const int32_t* document_starts;
  int64_t first_query = 0;  // a multiple of AttentionTasks::query_block

  const T* query(int64_t b, int64_t position, int64_t head) const {
    return queries + query_row(b, position) * shape.row_stride() + head * shape.head_dim;
  }
  const T* key(int64_t b, int64_t position, int64_t kv_head) const {
    return keys + key_offset(b, position, kv_head);
  }
  const T* value(int64_t b, int64_t position, int64_t kv_head) const {
    return values + key_offset(b, position, kv_head);
  }
  T* output(int64_t b, int64_t position, int64_t head) const {
    return out + (query_row(b, position) * shape.num_heads + head) * shape.head_dim;
  }
  float* query_lse(int64_t b, int64_t head, int64_t position) const {
    return lse + (b * shape.num_heads + head) * query_count() + position - first_query;
  }

 private:
  int64_t query_count() const { return shape.seq_length - first_query; }
  int64_t query_row(int64_t b, int64_t position) const {
    return b * query_count() + position - first_query;
  }
  int64_t key_offset(int64_t b, int64_t position, int64_t kv_head) const {
    return (b * shape.seq_length + position) * position_stride + kv_head * head_stride;
  }
};

template <typename T>
struct AttentionBackwardJob {
  AttentionShape shape;
  const T* qkv;
  const T* out;
  const T* dout;
  const float* lse;
  T* dqkv;
  const int32_t* document_starts;
};

// Queries [first, last) of a head: what a backward task is about.
struct QueryPart {
  int64_t first = 0;
  int64_t last = 0;
};

// The turns of a task (attention_order.h). Tasks are started in their order: whoever waits waits
// for one that runs.
struct KeyGradientTurns {
  const BackwardOrder& order;
  BackwardTask task;
  float* sums;        // of its group [2][T][sum_width]: dK, dV; unused if the group is one task
  int32_t* progress;  // of all tasks: blocks done, in counters of their own

  static constexpr int64_t kStride = 16;  // int32 between counters: a cache line each

  bool first() const { return order.is_first(task); }
  bool last(int64_t block) const { return order.is_last(task, block); }
  // Returns when this task may add its part of the given key block.
  void begin(int64_t block) const;
  void end(int64_t block) const;

 private:
  std::atomic_ref<int32_t> blocks_done(const BackwardTask& of) const;
};

template <typename T>
struct AttentionTasks {
  int64_t query_block;   // queries of a forward task, and keys that `pack` packs at a time; it
                         // divides kAttentionPieceRows
  int64_t key_block;     // keys between two turns in backward
  int64_t part_queries;  // of a backward task, a multiple of key_block
  // Floats: packed keys and values of one group; scratch of one forward and one backward task.
  int64_t (*packed_floats)(const AttentionShape&);
  int64_t (*forward_floats)(const AttentionShape&);
  int64_t (*backward_floats)(const AttentionShape&);
  void (*pack)(const AttentionForwardJob<T>&, int64_t b, int64_t kv_head, int64_t block,
               float* packed);
  void (*forward)(const AttentionForwardJob<T>&, int64_t b, int64_t head, int64_t block,
                  const float* packed, float* scratch);
  void (*backward)(const AttentionBackwardJob<T>&, int64_t b, int64_t head, QueryPart,
                   const KeyGradientTurns& turns, float* scratch);
};

template <typename T>
const AttentionTasks<T>& f32_attention_tasks();
// Only where bf16_products_supported() (product_bf16.h).
const AttentionTasks<bf16>& avx512_attention_tasks();
// Only where amx_products_supported().
const AttentionTasks<bf16>& amx_attention_tasks();

}  // namespace borealis
