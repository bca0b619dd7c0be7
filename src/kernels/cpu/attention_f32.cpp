// The tasks of attention in f32 arithmetic, compiled once per SIMD target by Highway. T is only how
// tensors are stored.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_f32.cpp"
#include <hwy/foreach_target.h>
// clang-format off
#include <hwy/highway.h>
#include "base/rounding.h"
#include "kernels/cpu/tile_product-inl.h"
// clang-format on

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/dtype.h"
#include "kernels/cpu/attention_tasks.h"

#ifndef BOREALIS_ATTENTION_ONCE_
#define BOREALIS_ATTENTION_ONCE_
namespace borealis {
namespace attention_detail {

// Block of queries and of keys: a multiple of 6 (rows of the micro tile) and of 32 (two of the
// widest vectors), such that the tiles of one step together fit in a half-megabyte second-level
// cache.
constexpr int64_t kBlock = 96;
constexpr int64_t kPartQueries = 11 * kBlock;
constexpr double kLog2E = 1.4426950408889634;

inline int64_t padded(int64_t head_dim) { return key_gradient_width(head_dim); }
// Leading dimension of tiles; the odd cache line keeps rows out of the same cache sets.
inline int64_t tile_ld(int64_t head_dim) { return padded(head_dim) + 16; }
inline int64_t blocks(int64_t seq_length) { return divide_up(seq_length, kBlock); }

// Keys transposed by blocks [blocks][C][kBlock], and values [blocks * kBlock][ld], of one group.
inline int64_t packed_keys_floats(const AttentionShape& s) {
  return blocks(s.seq_length) * s.head_dim * kBlock;
}
inline int64_t packed_floats(const AttentionShape& s) {
  return packed_keys_floats(s) + blocks(s.seq_length) * kBlock * tile_ld(s.head_dim);
}
inline int64_t forward_floats(const AttentionShape& s) {
  return 2 * kBlock * tile_ld(s.head_dim) + kBlock * kBlock + 2 * kBlock;
}
inline int64_t backward_floats(const AttentionShape& s) {
  return 5 * kBlock * tile_ld(s.head_dim) + 2 * s.head_dim * kBlock + 2 * kBlock * kBlock +
         std::min(kPartQueries, s.seq_length) * (padded(s.head_dim) + 1);
}

}  // namespace attention_detail
}  // namespace borealis
#endif  // BOREALIS_ATTENTION_ONCE_

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
using namespace attention_detail;  // NOLINT: one file's own helpers

// rows x C elements into an f32 tile, times `factor`; the columns up to the padded width are zero.
template <typename T>
void load_tile(const T* src, int64_t src_ld, int64_t rows, int64_t C, float factor, float* tile) {
  const int64_t ld = tile_ld(C), width = padded(C);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < C; ++c) {
      tile[r * ld + c] = static_cast<float>(src[r * src_ld + c]) * factor;
    }
    for (int64_t c = C; c < width; ++c) tile[r * ld + c] = 0.0f;
  }
}

// tile[c][r] = src[r][c], zero for r in [rows, kBlock).
template <typename T>
void load_transposed(const T* src, int64_t src_ld, int64_t rows, int64_t C, float* tile) {
  for (int64_t c = 0; c < C; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      tile[c * kBlock + r] = static_cast<float>(src[r * src_ld + c]);
    }
    for (int64_t r = rows; r < kBlock; ++r) tile[c * kBlock + r] = 0.0f;
  }
}

template <typename T>
void store_tile(const float* tile, int64_t tile_stride, int64_t rows, int64_t C, float factor,
                T* dst, int64_t dst_ld) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < C; ++c) {
      dst[r * dst_ld + c] = static_cast<T>(tile[r * tile_stride + c] * factor);
    }
  }
}

template <typename T>
void pack_block(const AttentionForwardJob<T>& job, int64_t b, int64_t kv_head, int64_t block,
                float* packed) {
  const AttentionShape& s = job.shape;
  const int64_t C = s.head_dim, first = block * kBlock;
  const int64_t rows = std::min(kBlock, s.seq_length - first);
  load_transposed(job.key(b, first, kv_head), job.position_stride, rows, C,
                  packed + block * C * kBlock);
  load_tile(job.value(b, first, kv_head), job.position_stride, rows, C, 1.0f,
            packed + packed_keys_floats(s) + first * tile_ld(C));
}

// One row of scores to probabilities (unnormalised) in place: columns outside [hidden, valid),
// which is not empty, become zero. Returns their sum; `row_max` is the running maximum, `rescale`
// what earlier sums must be times.
HWY_INLINE float softmax_row(float* row, int64_t hidden, int64_t valid, int64_t width,
                             float& row_max, float& rescale) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  std::fill_n(row, hidden, -std::numeric_limits<float>::infinity());
  for (int64_t c = valid; c < width; ++c) row[c] = -std::numeric_limits<float>::infinity();
  auto largest = hn::Set(d, row_max);
  for (int64_t c = 0; c < width; c += lanes) largest = hn::Max(largest, hn::LoadU(d, row + c));
  const float new_max = hn::GetLane(hn::MaxOfLanes(d, largest));
  const auto subtract = hn::Set(d, new_max);
  auto sum = hn::Zero(d);
  for (int64_t c = 0; c < width; c += lanes) {
    const auto p = exp2_fast(hn::Sub(hn::LoadU(d, row + c), subtract));
    hn::StoreU(p, d, row + c);
    sum = hn::Add(sum, p);
  }
  rescale = hn::GetLane(exp2_fast(hn::Set(d, row_max - new_max)));
  row_max = new_max;
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

HWY_INLINE void scale_row(float* row, int64_t width, float factor) {
  const FloatTag d;
  const auto f = hn::Set(d, factor);
  for (int64_t c = 0; c < width; c += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(hn::Mul(hn::LoadU(d, row + c), f), d, row + c);
  }
}

// One block of queries of one head.
template <typename T>
void forward_task(const AttentionForwardJob<T>& job, int64_t b, int64_t head, int64_t query_block,
                  const float* packed, float* scratch) {
  const AttentionShape& s = job.shape;
  const int64_t C = s.head_dim, ld = tile_ld(C), width = padded(C), H = s.num_heads;
  const int64_t q0 = query_block * kBlock, rows = std::min(kBlock, s.seq_length - q0);
  float* query = scratch;
  float* output = query + kBlock * ld;
  float* scores = output + kBlock * ld;
  float* row_max = scores + kBlock * kBlock;
  float* row_sum = row_max + kBlock;
  const float* packed_values = packed + packed_keys_floats(s);
  const SequenceDocuments documents(job.document_starts, s, b);

  const auto factor = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(C)));
  load_tile(job.query(b, q0, head), s.row_stride(), rows, C, factor, query);
  std::fill_n(output, rows * ld, 0.0f);
  std::fill_n(row_max, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(row_sum, rows, 0.0f);

  for (int64_t block = documents.first_key(q0) / kBlock; block <= query_block; ++block) {
    const int64_t k0 = block * kBlock, keys = std::min(kBlock, s.seq_length - k0);
    const int64_t key_width = round_up(keys, 32);
    tile_product(rows, keys, C, {query, ld, 1}, packed + block * C * kBlock, kBlock, scores, kBlock,
                 false);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t hidden = std::max<int64_t>(documents.first_key(q0 + r) - k0, 0);
      const int64_t valid = std::min(keys, q0 + r - k0 + 1);
      if (hidden >= valid) {
        std::fill_n(scores + r * kBlock, key_width, 0.0f);
        continue;
      }
      float rescale = 1.0f;
      const float sum =
          softmax_row(scores + r * kBlock, hidden, valid, key_width, row_max[r], rescale);
      row_sum[r] = row_sum[r] * rescale + sum;
      if (rescale != 1.0f) scale_row(output + r * ld, width, rescale);
    }
    tile_product(rows, C, keys, {scores, kBlock, 1}, packed_values + k0 * ld, ld, output, ld, true);
  }
  T* out = job.output(b, q0, head);
  float* lse = job.query_lse(b, head, q0);
  for (int64_t r = 0; r < rows; ++r) {
    store_tile(output + r * ld, ld, 1, C, 1.0f / row_sum[r], out + r * H * C, H * C);
    lse[r] = row_max[r] + std::log2(row_sum[r]);
  }
}

// p = 2^(score - lse) and ds = p (dp - delta) of one row, zero outside [hidden, valid); in place.
HWY_INLINE void softmax_backward_row(float* score, float* dp, int64_t hidden, int64_t valid,
                                     int64_t width, float lse, float delta) {
  const FloatTag d;
  const auto lse_vec = hn::Set(d, lse), delta_vec = hn::Set(d, delta);
  for (int64_t c = 0; c < width; c += static_cast<int64_t>(hn::Lanes(d))) {
    const auto p = exp2_fast(hn::Sub(hn::LoadU(d, score + c), lse_vec));
    hn::StoreU(p, d, score + c);
    hn::StoreU(hn::Mul(p, hn::Sub(hn::LoadU(d, dp + c), delta_vec)), d, dp + c);
  }
  for (int64_t c = 0; c < std::min(hidden, width); ++c) score[c] = dp[c] = 0.0f;
  for (int64_t c = std::max<int64_t>(valid, 0); c < width; ++c) score[c] = dp[c] = 0.0f;
}

// Adds this task's dK and dV of one key block to those of the tasks before it in the group; the
// last one stores them.
template <typename T>
void hand_over(const AttentionBackwardJob<T>& job, int64_t b, int64_t kv_head, int64_t block,
               const KeyGradientTurns& turns, const float* dkey, const float* dvalue) {
  const AttentionShape& s = job.shape;
  const int64_t C = s.head_dim, ld = tile_ld(C), width = padded(C);
  const int64_t k0 = block * kBlock, keys = std::min(kBlock, s.seq_length - k0);
  // The query tile carried log2(e) / sqrt(C); the gradient of K wants only 1 / sqrt(C).
  const float factors[] = {static_cast<float>(1.0 / kLog2E), 1.0f};
  const float* tiles[] = {dkey, dvalue};
  const bool first = turns.first(), last = turns.last(block);
  turns.begin(block);
  for (int which = 0; which < 2; ++which) {
    float* sums = turns.sums + (which * s.seq_length + k0) * width;
    T* dst = job.dqkv + (b * s.seq_length + k0) * s.row_stride() +
             (s.num_heads + which * s.num_key_value_heads + kv_head) * C;
    for (int64_t r = 0; r < keys; ++r) {
      const float* row = tiles[which] + r * ld;
      for (int64_t c = 0; c < C; ++c) {
        const float sum = first ? row[c] : sums[r * width + c] + row[c];
        if (last) {
          dst[r * s.row_stride() + c] = static_cast<T>(sum * factors[which]);
        } else {
          sums[r * width + c] = sum;
        }
      }
    }
  }
  turns.end(block);
}

// All gradients that come from some queries of one head: the key blocks are the outer loop, so
// their dK and dV stay in cache, and dQ is summed in scratch.
template <typename T>
void backward_task(const AttentionBackwardJob<T>& job, int64_t b, int64_t head, QueryPart part,
                   const KeyGradientTurns& turns, float* scratch) {
  const AttentionShape& s = job.shape;
  const int64_t C = s.head_dim, ld = tile_ld(C), H = s.num_heads, seq = s.seq_length;
  const int64_t stride = s.row_stride(), dq_ld = padded(C), kv_head = head / s.group_size();
  float* query = scratch;
  float* dout = query + kBlock * ld;
  float* key = dout + kBlock * ld;
  float* dkey = key + kBlock * ld;
  float* dvalue = dkey + kBlock * ld;
  float* key_t = dvalue + kBlock * ld;
  float* value_t = key_t + C * kBlock;
  float* scores = value_t + C * kBlock;
  float* dscores = scores + kBlock * kBlock;
  const int64_t queries = part.last - part.first;
  float* delta = dscores + kBlock * kBlock;  // [queries]
  float* dquery = delta + queries;           // [queries, dq_ld]

  const auto softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(C)));
  const auto factor = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(C)));
  const T* base = job.qkv + b * seq * stride;
  const T* out = job.out + b * seq * H * C + head * C;
  const T* out_gradient = job.dout + b * seq * H * C + head * C;
  const float* lse = job.lse + (b * H + head) * seq;
  const int64_t key_column = (H + kv_head) * C,
                value_column = key_column + s.num_key_value_heads * C;
  const SequenceDocuments documents(job.document_starts, s, b);

  for (int64_t t = part.first; t < part.last; ++t) {
    float sum = 0;
    for (int64_t c = 0; c < C; ++c) {
      sum +=
          static_cast<float>(out[t * H * C + c]) * static_cast<float>(out_gradient[t * H * C + c]);
    }
    delta[t - part.first] = sum;
  }
  std::fill_n(dquery, queries * dq_ld, 0.0f);

  for (int64_t block = 0; block < blocks(part.last); ++block) {
    const int64_t k0 = block * kBlock, keys = std::min(kBlock, seq - k0);
    const int64_t key_width = round_up(keys, 32);
    const T* row = base + k0 * stride;
    load_tile(row + key_column, stride, keys, C, 1.0f, key);
    load_transposed(row + key_column, stride, keys, C, key_t);
    load_transposed(row + value_column, stride, keys, C, value_t);
    std::fill_n(dkey, keys * ld, 0.0f);
    std::fill_n(dvalue, keys * ld, 0.0f);
    const int64_t queries_end = std::min(documents.queries_end(k0 + keys), part.last);
    for (int64_t q0 = std::max(k0, part.first); q0 < queries_end; q0 += kBlock) {
      const int64_t rows = std::min(kBlock, seq - q0), at = q0 - part.first;
      load_tile(base + q0 * stride + head * C, stride, rows, C, factor, query);
      load_tile(out_gradient + q0 * H * C, H * C, rows, C, 1.0f, dout);
      tile_product(rows, keys, C, {query, ld, 1}, key_t, kBlock, scores, kBlock, false);
      tile_product(rows, keys, C, {dout, ld, 1}, value_t, kBlock, dscores, kBlock, false);
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t hidden = std::max<int64_t>(documents.first_key(q0 + r) - k0, 0);
        softmax_backward_row(scores + r * kBlock, dscores + r * kBlock, hidden,
                             std::min(keys, q0 + r - k0 + 1), key_width, lse[q0 + r],
                             delta[at + r]);
      }
      tile_product(keys, C, rows, {scores, 1, kBlock}, dout, ld, dvalue, ld, true);
      tile_product(keys, C, rows, {dscores, 1, kBlock}, query, ld, dkey, ld, true);
      tile_product(rows, C, keys, {dscores, kBlock, 1}, key, ld, dquery + at * dq_ld, dq_ld, true);
    }
    hand_over(job, b, kv_head, block, turns, dkey, dvalue);
  }
  store_tile(dquery, dq_ld, queries, C, softmax_scale,
             job.dqkv + (b * seq + part.first) * stride + head * C, stride);
}

void pack_block_f32(const AttentionForwardJob<float>& job, int64_t b, int64_t kv_head,
                    int64_t block, float* packed) {
  pack_block(job, b, kv_head, block, packed);
}
void pack_block_bf16(const AttentionForwardJob<bf16>& job, int64_t b, int64_t kv_head,
                     int64_t block, float* packed) {
  pack_block(job, b, kv_head, block, packed);
}
void forward_task_f32(const AttentionForwardJob<float>& job, int64_t b, int64_t head,
                      int64_t query_block, const float* packed, float* scratch) {
  forward_task(job, b, head, query_block, packed, scratch);
}
void forward_task_bf16(const AttentionForwardJob<bf16>& job, int64_t b, int64_t head,
                       int64_t query_block, const float* packed, float* scratch) {
  forward_task(job, b, head, query_block, packed, scratch);
}
void backward_task_f32(const AttentionBackwardJob<float>& job, int64_t b, int64_t head,
                       QueryPart part, const KeyGradientTurns& turns, float* scratch) {
  backward_task(job, b, head, part, turns, scratch);
}
void backward_task_bf16(const AttentionBackwardJob<bf16>& job, int64_t b, int64_t head,
                        QueryPart part, const KeyGradientTurns& turns, float* scratch) {
  backward_task(job, b, head, part, turns, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace attention_detail {

HWY_EXPORT(pack_block_f32);
HWY_EXPORT(pack_block_bf16);
HWY_EXPORT(forward_task_f32);
HWY_EXPORT(forward_task_bf16);
HWY_EXPORT(backward_task_f32);
HWY_EXPORT(backward_task_bf16);

}  // namespace attention_detail

template <typename T>
const AttentionTasks<T>& f32_attention_tasks() {
  using namespace attention_detail;  // NOLINT: one file's own helpers
  static const AttentionTasks<T> tasks{
      kBlock,
      kBlock,
      kPartQueries,
      packed_floats,
      forward_floats,
      backward_floats,
      [](const AttentionForwardJob<T>& job, int64_t b, int64_t kv_head, int64_t block,
         float* packed) {
        if constexpr (std::is_same_v<T, float>) {
          HWY_DYNAMIC_DISPATCH(pack_block_f32)(job, b, kv_head, block, packed);
        } else {
          HWY_DYNAMIC_DISPATCH(pack_block_bf16)(job, b, kv_head, block, packed);
        }
      },
      [](const AttentionForwardJob<T>& job, int64_t b, int64_t head, int64_t block,
         const float* packed, float* scratch) {
        if constexpr (std::is_same_v<T, float>) {
          HWY_DYNAMIC_DISPATCH(forward_task_f32)(job, b, head, block, packed, scratch);
        } else {
          HWY_DYNAMIC_DISPATCH(forward_task_bf16)(job, b, head, block, packed, scratch);
        }
      },
      [](const AttentionBackwardJob<T>& job, int64_t b, int64_t head, QueryPart part,
         const KeyGradientTurns& turns, float* scratch) {
        if constexpr (std::is_same_v<T, float>) {
          HWY_DYNAMIC_DISPATCH(backward_task_f32)(job, b, head, part, turns, scratch);
        } else {
          HWY_DYNAMIC_DISPATCH(backward_task_bf16)(job, b, head, part, turns, scratch);
        }
      }};
  return tasks;
}

template const AttentionTasks<float>& f32_attention_tasks();
template const AttentionTasks<bf16>& f32_attention_tasks();

}  // namespace borealis
#endif  // HWY_ONCE
