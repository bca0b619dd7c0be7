// Compiled once per SIMD target by Highway; the driver at the end runs tasks on OpenMP threads.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
#include <hwy/foreach_target.h>
// clang-format off
#include <hwy/highway.h>
#include "kernels/cpu/tile_product-inl.h"
// clang-format on

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/dtype.h"
#include "kernels/attention.h"

#ifndef BOREALIS_ATTENTION_ONCE_
#define BOREALIS_ATTENTION_ONCE_
namespace borealis {
namespace attention_detail {

// Block of queries and of keys: a multiple of 6 (rows of the micro tile) and of 32 (two of the
// widest vectors), such that the tiles of one step together fit in a half-megabyte second-level
// cache.
constexpr int64_t kBlock = 96;
constexpr double kLog2E = 1.4426950408889634;

inline int64_t padded(int64_t head_dim) { return (head_dim + 31) / 32 * 32; }
// Leading dimension of tiles; the odd cache line keeps rows out of the same cache sets.
inline int64_t tile_ld(int64_t head_dim) { return padded(head_dim) + 16; }
inline int64_t blocks(int64_t seq_length) { return (seq_length + kBlock - 1) / kBlock; }

// Keys transposed by blocks [blocks][C][kBlock], and values [blocks * kBlock][ld], of one group.
inline int64_t packed_keys_floats(const AttentionShape& s) {
  return blocks(s.seq_length) * s.head_dim * kBlock;
}
inline int64_t packed_group_floats(const AttentionShape& s) {
  return packed_keys_floats(s) + blocks(s.seq_length) * kBlock * tile_ld(s.head_dim);
}
inline int64_t forward_task_floats(const AttentionShape& s) {
  return 2 * kBlock * tile_ld(s.head_dim) + kBlock * kBlock + 2 * kBlock;
}
inline int64_t backward_task_floats(const AttentionShape& s) {
  return 5 * kBlock * tile_ld(s.head_dim) + 2 * s.head_dim * kBlock + 2 * kBlock * kBlock +
         s.group_size() * s.seq_length * (padded(s.head_dim) + 1);
}

template <typename T>
struct ForwardJob {
  AttentionShape shape;
  const T* qkv;
  T* out;
  float* lse;
};

template <typename T>
struct BackwardJob {
  AttentionShape shape;
  const T* qkv;
  const T* out;
  const T* dout;
  const float* lse;
  T* dqkv;
};

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
void pack_block(const ForwardJob<T>& job, int64_t b, int64_t kv_head, int64_t block,
                float* packed) {
  const AttentionShape& s = job.shape;
  const int64_t C = s.head_dim, first = block * kBlock;
  const int64_t rows = std::min(kBlock, s.seq_length - first);
  const T* row = job.qkv + (b * s.seq_length + first) * s.row_stride();
  load_transposed(row + (s.num_heads + kv_head) * C, s.row_stride(), rows, C,
                  packed + block * C * kBlock);
  load_tile(row + (s.num_heads + s.num_key_value_heads + kv_head) * C, s.row_stride(), rows, C,
            1.0f, packed + packed_keys_floats(s) + first * tile_ld(C));
}

// One row of scores to probabilities (unnormalised) in place: columns from `valid` on become zero.
// Returns their sum; `row_max` is the running maximum, `rescale` what earlier sums must be times.
HWY_INLINE float softmax_row(float* row, int64_t valid, int64_t width, float& row_max,
                             float& rescale) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = std::max<int64_t>(valid, 0); c < width; ++c) {
    row[c] = -std::numeric_limits<float>::infinity();
  }
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
void forward_task(const ForwardJob<T>& job, int64_t b, int64_t head, int64_t query_block,
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

  const auto factor = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(C)));
  load_tile(job.qkv + (b * s.seq_length + q0) * s.row_stride() + head * C, s.row_stride(), rows, C,
            factor, query);
  std::fill_n(output, rows * ld, 0.0f);
  std::fill_n(row_max, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(row_sum, rows, 0.0f);

  for (int64_t block = 0; block <= query_block; ++block) {
    const int64_t k0 = block * kBlock, keys = std::min(kBlock, s.seq_length - k0);
    const int64_t key_width = (keys + 31) / 32 * 32;
    tile_product(rows, keys, C, {query, ld, 1}, packed + block * C * kBlock, kBlock, scores, kBlock,
                 false);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t valid = std::min(keys, q0 + r - k0 + 1);
      float rescale = 1.0f;
      const float sum = softmax_row(scores + r * kBlock, valid, key_width, row_max[r], rescale);
      row_sum[r] = row_sum[r] * rescale + sum;
      if (rescale != 1.0f) scale_row(output + r * ld, width, rescale);
    }
    tile_product(rows, C, keys, {scores, kBlock, 1}, packed_values + k0 * ld, ld, output, ld, true);
  }
  T* out = job.out + (b * s.seq_length + q0) * H * C + head * C;
  float* lse = job.lse + (b * H + head) * s.seq_length + q0;
  for (int64_t r = 0; r < rows; ++r) {
    store_tile(output + r * ld, ld, 1, C, 1.0f / row_sum[r], out + r * H * C, H * C);
    lse[r] = row_max[r] + std::log2(row_sum[r]);
  }
}

// p = 2^(score - lse) and ds = p (dp - delta) of one row, zero from `valid` on; in place.
HWY_INLINE void softmax_backward_row(float* score, float* dp, int64_t valid, int64_t width,
                                     float lse, float delta) {
  const FloatTag d;
  const auto lse_vec = hn::Set(d, lse), delta_vec = hn::Set(d, delta);
  for (int64_t c = 0; c < width; c += static_cast<int64_t>(hn::Lanes(d))) {
    const auto p = exp2_fast(hn::Sub(hn::LoadU(d, score + c), lse_vec));
    hn::StoreU(p, d, score + c);
    hn::StoreU(hn::Mul(p, hn::Sub(hn::LoadU(d, dp + c), delta_vec)), d, dp + c);
  }
  for (int64_t c = std::max<int64_t>(valid, 0); c < width; ++c) score[c] = dp[c] = 0.0f;
}

// All gradients of one key/value head of one sequence, and of the query heads that read it: the key
// blocks are the outer loop, so dK and dV stay in cache, and dQ of the group is summed in scratch.
template <typename T>
void backward_task(const BackwardJob<T>& job, int64_t b, int64_t kv_head, float* scratch) {
  const AttentionShape& s = job.shape;
  const int64_t C = s.head_dim, ld = tile_ld(C), H = s.num_heads, seq = s.seq_length;
  const int64_t G = s.group_size(), stride = s.row_stride(), dq_ld = padded(C);
  float* query = scratch;
  float* dout = query + kBlock * ld;
  float* key = dout + kBlock * ld;
  float* dkey = key + kBlock * ld;
  float* dvalue = dkey + kBlock * ld;
  float* key_t = dvalue + kBlock * ld;
  float* value_t = key_t + C * kBlock;
  float* scores = value_t + C * kBlock;
  float* dscores = scores + kBlock * kBlock;
  float* delta = dscores + kBlock * kBlock;  // [G, T]
  float* dquery = delta + G * seq;           // [G, T, dq_ld]

  const auto softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(C)));
  const auto factor = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(C)));
  const T* base = job.qkv + b * seq * stride;
  T* dbase = job.dqkv + b * seq * stride;
  const int64_t key_column = (H + kv_head) * C,
                value_column = key_column + s.num_key_value_heads * C;

  for (int64_t g = 0; g < G; ++g) {
    const int64_t column = (kv_head * G + g) * C;
    for (int64_t t = 0; t < seq; ++t) {
      const int64_t at = (b * seq + t) * H * C + column;
      float sum = 0;
      for (int64_t c = 0; c < C; ++c) {
        sum += static_cast<float>(job.out[at + c]) * static_cast<float>(job.dout[at + c]);
      }
      delta[g * seq + t] = sum;
    }
  }
  std::fill_n(dquery, G * seq * dq_ld, 0.0f);

  for (int64_t block = 0; block < blocks(seq); ++block) {
    const int64_t k0 = block * kBlock, keys = std::min(kBlock, seq - k0);
    const int64_t key_width = (keys + 31) / 32 * 32;
    const T* row = base + k0 * stride;
    load_tile(row + key_column, stride, keys, C, 1.0f, key);
    load_transposed(row + key_column, stride, keys, C, key_t);
    load_transposed(row + value_column, stride, keys, C, value_t);
    std::fill_n(dkey, keys * ld, 0.0f);
    std::fill_n(dvalue, keys * ld, 0.0f);
    for (int64_t g = 0; g < G; ++g) {
      const int64_t head = kv_head * G + g;
      for (int64_t query_block = block; query_block < blocks(seq); ++query_block) {
        const int64_t q0 = query_block * kBlock, rows = std::min(kBlock, seq - q0);
        load_tile(base + q0 * stride + head * C, stride, rows, C, factor, query);
        load_tile(job.dout + (b * seq + q0) * H * C + head * C, H * C, rows, C, 1.0f, dout);
        tile_product(rows, keys, C, {query, ld, 1}, key_t, kBlock, scores, kBlock, false);
        tile_product(rows, keys, C, {dout, ld, 1}, value_t, kBlock, dscores, kBlock, false);
        const float* lse = job.lse + (b * H + head) * seq + q0;
        for (int64_t r = 0; r < rows; ++r) {
          softmax_backward_row(scores + r * kBlock, dscores + r * kBlock,
                               std::min(keys, q0 + r - k0 + 1), key_width, lse[r],
                               delta[g * seq + q0 + r]);
        }
        tile_product(keys, C, rows, {scores, 1, kBlock}, dout, ld, dvalue, ld, true);
        tile_product(keys, C, rows, {dscores, 1, kBlock}, query, ld, dkey, ld, true);
        tile_product(rows, C, keys, {dscores, kBlock, 1}, key, ld, dquery + (g * seq + q0) * dq_ld,
                     dq_ld, true);
      }
    }
    // The query tile carried log2(e) / sqrt(C); the gradient of K wants only 1 / sqrt(C).
    store_tile(dkey, ld, keys, C, static_cast<float>(1.0 / kLog2E),
               dbase + k0 * stride + key_column, stride);
    store_tile(dvalue, ld, keys, C, 1.0f, dbase + k0 * stride + value_column, stride);
  }
  for (int64_t g = 0; g < G; ++g) {
    store_tile(dquery + g * seq * dq_ld, dq_ld, seq, C, softmax_scale,
               dbase + (kv_head * G + g) * C, stride);
  }
}

void pack_block_f32(const ForwardJob<float>& job, int64_t b, int64_t kv_head, int64_t block,
                    float* packed) {
  pack_block(job, b, kv_head, block, packed);
}
void pack_block_bf16(const ForwardJob<bf16>& job, int64_t b, int64_t kv_head, int64_t block,
                     float* packed) {
  pack_block(job, b, kv_head, block, packed);
}
void forward_task_f32(const ForwardJob<float>& job, int64_t b, int64_t head, int64_t query_block,
                      const float* packed, float* scratch) {
  forward_task(job, b, head, query_block, packed, scratch);
}
void forward_task_bf16(const ForwardJob<bf16>& job, int64_t b, int64_t head, int64_t query_block,
                       const float* packed, float* scratch) {
  forward_task(job, b, head, query_block, packed, scratch);
}
void backward_task_f32(const BackwardJob<float>& job, int64_t b, int64_t kv_head, float* scratch) {
  backward_task(job, b, kv_head, scratch);
}
void backward_task_bf16(const BackwardJob<bf16>& job, int64_t b, int64_t kv_head, float* scratch) {
  backward_task(job, b, kv_head, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <omp.h>

namespace borealis {
namespace attention_detail {

HWY_EXPORT(pack_block_f32);
HWY_EXPORT(pack_block_bf16);
HWY_EXPORT(forward_task_f32);
HWY_EXPORT(forward_task_bf16);
HWY_EXPORT(backward_task_f32);
HWY_EXPORT(backward_task_bf16);

template <typename T>
void pack_block(const ForwardJob<T>& job, int64_t b, int64_t kv_head, int64_t block,
                float* packed) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(pack_block_f32)(job, b, kv_head, block, packed);
  } else {
    HWY_DYNAMIC_DISPATCH(pack_block_bf16)(job, b, kv_head, block, packed);
  }
}

template <typename T>
void forward_task(const ForwardJob<T>& job, int64_t b, int64_t head, int64_t query_block,
                  const float* packed, float* scratch) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(forward_task_f32)(job, b, head, query_block, packed, scratch);
  } else {
    HWY_DYNAMIC_DISPATCH(forward_task_bf16)(job, b, head, query_block, packed, scratch);
  }
}

template <typename T>
void backward_task(const BackwardJob<T>& job, int64_t b, int64_t kv_head, float* scratch) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(backward_task_f32)(job, b, kv_head, scratch);
  } else {
    HWY_DYNAMIC_DISPATCH(backward_task_bf16)(job, b, kv_head, scratch);
  }
}

// Groups (one key/value head of one sequence) whose keys and values are packed at a time: enough
// tasks for all threads, in few bytes.
int64_t groups_at_a_time(const AttentionShape& s) {
  constexpr int64_t kPackedFloats = int64_t{2} << 20;
  const int64_t groups = s.batch_size * s.num_key_value_heads;
  return std::clamp<int64_t>(kPackedFloats / packed_group_floats(s), 1, groups);
}

}  // namespace attention_detail

using attention_detail::BackwardJob;
using attention_detail::ForwardJob;

int64_t attention_forward_scratch_floats(const AttentionShape& s, int threads) {
  return attention_detail::groups_at_a_time(s) * attention_detail::packed_group_floats(s) +
         threads * attention_detail::forward_task_floats(s);
}

int64_t attention_backward_scratch_floats(const AttentionShape& s, int threads) {
  return threads * attention_detail::backward_task_floats(s);
}

template <typename T_>
void attention_forward(const AttentionShape& shape, const T_* qkv, T_* out, float* lse,
                       float* scratch, int threads) {
  const ForwardJob<T_> job{shape, qkv, out, lse};
  const int64_t K = shape.num_key_value_heads, G = shape.group_size();
  const int64_t groups = shape.batch_size * K;
  const int64_t step = attention_detail::groups_at_a_time(shape);
  const int64_t group_floats = attention_detail::packed_group_floats(shape);
  const int64_t blocks = attention_detail::blocks(shape.seq_length);
  float* tasks_scratch = scratch + step * group_floats;
#pragma omp parallel num_threads(threads)
  for (int64_t first = 0; first < groups; first += step) {
    const int64_t count = std::min(step, groups - first);
#pragma omp for schedule(static)
    for (int64_t task = 0; task < count * blocks; ++task) {
      const int64_t group = first + task / blocks;
      attention_detail::pack_block(job, group / K, group % K, task % blocks,
                                   scratch + (group - first) * group_floats);
    }
    // Late query blocks see the most keys: they go first, so that threads finish together.
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < count * G * blocks; ++task) {
      const int64_t group = first + task / (G * blocks);
      const int64_t query_block = blocks - 1 - task % (G * blocks) / G;
      const int64_t head = group % K * G + task % G;
      attention_detail::forward_task(
          job, group / K, head, query_block, scratch + (group - first) * group_floats,
          tasks_scratch + omp_get_thread_num() * attention_detail::forward_task_floats(shape));
    }
  }
}

template <typename T_>
void attention_backward(const AttentionShape& shape, const T_* qkv, const T_* out, const T_* dout,
                        const float* lse, T_* dqkv, float* scratch, int threads) {
  const BackwardJob<T_> job{shape, qkv, out, dout, lse, dqkv};
  const int64_t K = shape.num_key_value_heads;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t group = 0; group < shape.batch_size * K; ++group) {
    attention_detail::backward_task(
        job, group / K, group % K,
        scratch + omp_get_thread_num() * attention_detail::backward_task_floats(shape));
  }
}

void attention_decode(const AttentionShape& shape, const float* q, const float* keys,
                      const float* values, int64_t capacity, int64_t length, float* out) {
  const int64_t C = shape.head_dim, G = shape.group_size();
  const float scale = 1.0f / std::sqrt(static_cast<float>(C));
#pragma omp parallel for schedule(static)
  for (int64_t head = 0; head < shape.num_heads; ++head) {
    const float* key = keys + head / G * capacity * C;
    const float* value = values + head / G * capacity * C;
    float* o = out + head * C;
    std::fill_n(o, C, 0.0f);
    float largest = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int64_t t = 0; t < length; ++t) {  // online softmax, one key at a time
      float score = 0;
      for (int64_t c = 0; c < C; ++c) score += q[head * C + c] * key[t * C + c];
      score *= scale;
      if (score > largest) {
        const float rescale = std::exp(largest - score);
        sum *= rescale;
        for (int64_t c = 0; c < C; ++c) o[c] *= rescale;
        largest = score;
      }
      const float p = std::exp(score - largest);
      sum += p;
      for (int64_t c = 0; c < C; ++c) o[c] += p * value[t * C + c];
    }
    for (int64_t c = 0; c < C; ++c) o[c] /= sum;
  }
}

template void attention_forward(const AttentionShape&, const float*, float*, float*, float*, int);
template void attention_forward(const AttentionShape&, const bf16*, bf16*, float*, float*, int);
template void attention_backward(const AttentionShape&, const float*, const float*, const float*,
                                 const float*, float*, float*, int);
template void attention_backward(const AttentionShape&, const bf16*, const bf16*, const bf16*,
                                 const float*, bf16*, float*, int);

}  // namespace borealis
#endif  // HWY_ONCE
