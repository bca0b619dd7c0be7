// Attention of single tokens against a cache: bound by reading it, so a block of keys and then of
// values passes through registers once, widened to f32 on the way.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_decode.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"
#include "kernels/cpu/partition.h"

#ifndef BOREALIS_ATTENTION_DECODE_ONCE_
#define BOREALIS_ATTENTION_DECODE_ONCE_
namespace borealis {

// One query head over the first `length` positions of a sequence.
template <typename T>
struct DecodeTask {
  const T* query;   // [C]
  const T* keys;    // [length, C]
  const T* values;  // [length, C]
  int64_t length;
  int64_t head_dim;
  float* sums;  // [C] scratch
  T* out;       // [C]
};

}  // namespace borealis
#endif  // BOREALIS_ATTENTION_DECODE_ONCE_

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kKeyBlock = 64;  // a multiple of every vector's lanes

// scores[j] = query . key j / sqrt(C) of `count` keys, minus infinity beyond; returns the largest.
template <typename T>
float score_block(const DecodeTask<T>& task, int64_t first, int64_t count, float* scores) {
  const F32 d;
  const int64_t C = task.head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(C));
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < count; ++j) {
    const T* key = task.keys + (first + j) * C;
    const float dot = sum_columns(d, C, [&](int64_t c, auto width, F32Vec sum) HWY_ATTR {
      return hn::MulAdd(load(d, task.query + c, width), load(d, key + c, width), sum);
    });
    scores[j] = dot * scale;
    largest = std::max(largest, scores[j]);
  }
  std::fill(scores + count, scores + kKeyBlock, -std::numeric_limits<float>::infinity());
  return largest;
}

// scores -> exp(scores - largest), of which it returns the sum.
float exponentials(float* scores, float largest) {
  const F32 d;
  const auto shift = hn::Set(d, largest);
  auto sum = hn::Zero(d);
  for (int64_t j = 0; j < kKeyBlock; j += static_cast<int64_t>(hn::Lanes(d))) {
    const auto p = exp_f32(d, hn::Sub(hn::LoadU(d, scores + j), shift));
    hn::StoreU(p, d, scores + j);
    sum = hn::Add(sum, p);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// The online softmax by blocks of keys.
template <typename T>
void decode(const DecodeTask<T>& task) {
  const F32 d;
  const int64_t C = task.head_dim;
  HWY_ALIGN float scores[kKeyBlock];
  std::fill_n(task.sums, C, 0.0f);
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
  for (int64_t first = 0; first < task.length; first += kKeyBlock) {
    const int64_t count = std::min(kKeyBlock, task.length - first);
    const float before = largest;
    largest = std::max(largest, score_block(task, first, count, scores));
    const float rescale = std::exp(before - largest);
    sum = sum * rescale + exponentials(scores, largest);
    const T* values = task.values + first * C;
    for_columns(d, C, [&](int64_t c, auto width) HWY_ATTR {
      auto total = hn::Mul(load(d, task.sums + c, width), hn::Set(d, rescale));
      for (int64_t j = 0; j < count; ++j) {
        total = hn::MulAdd(hn::Set(d, scores[j]), load(d, values + j * C + c, width), total);
      }
      store(d, total, task.sums + c, width);
    });
  }
  const auto factor = hn::Set(d, 1.0f / sum);
  for_columns(d, C, [&](int64_t c, auto width) HWY_ATTR {
    store(d, hn::Mul(load(d, task.sums + c, width), factor), task.out + c, width);
  });
}

}  // namespace

void attention_decode_f32(const DecodeTask<float>& task) { decode(task); }
void attention_decode_bf16(const DecodeTask<bf16>& task) { decode(task); }

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(attention_decode_f32);
HWY_EXPORT(attention_decode_bf16);

auto kernel_of(const float*) { return HWY_DYNAMIC_DISPATCH(attention_decode_f32); }
auto kernel_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(attention_decode_bf16); }

}  // namespace

template <typename T_>
void cache_keys_values(const AttentionShape& s, const T_* qkv, const CacheRows& rows,
                       const KeyValueCache<T_>& cache) {
  const int64_t C = s.head_dim, K = s.num_key_value_heads;
  for_each_row(rows.count, 2 * K * C, [&](int64_t row) {
    if (rows.sequences[row] == kNoSequence) return;
    const T_* key = qkv + row * s.row_stride() + s.num_heads * C;
    for (int64_t k = 0; k < K; ++k) {
      const int64_t head = rows.sequences[row] * K + k;
      const int64_t to = (head * cache.capacity + rows.positions[row]) * C;
      std::copy_n(key + k * C, C, cache.keys + to);
      std::copy_n(key + (K + k) * C, C, cache.values + to);
    }
  });
}

int64_t attention_decode_scratch_floats(const AttentionShape& shape, int64_t rows) {
  return rows * shape.num_heads * shape.head_dim;
}

template <typename T_>
void attention_decode(const AttentionShape& s, const T_* qkv, const CacheRows& rows,
                      const KeyValueCache<T_>& cache, T_* out, float* scratch) {
  const auto kernel = kernel_of(qkv);
  const int64_t C = s.head_dim, H = s.num_heads, K = s.num_key_value_heads;
  const int32_t longest = *std::max_element(rows.positions, rows.positions + rows.count) + 1;
  // Heads outside, so that each thread's share has some of every row, long or short.
  for_each_row(rows.count * H, 2 * longest * C, [&](int64_t task) {
    const int64_t row = task % rows.count, head = task / rows.count;
    if (rows.sequences[row] == kNoSequence) return;
    const int64_t from = (rows.sequences[row] * K + head / s.group_size()) * cache.capacity * C;
    const int64_t to = (row * H + head) * C;
    kernel({qkv + row * s.row_stride() + head * C, cache.keys + from, cache.values + from,
            rows.positions[row] + 1, C, scratch + to, out + to});
  });
}

template void cache_keys_values(const AttentionShape&, const float*, const CacheRows&,
                                const KeyValueCache<float>&);
template void cache_keys_values(const AttentionShape&, const bf16*, const CacheRows&,
                                const KeyValueCache<bf16>&);
template void attention_decode(const AttentionShape&, const float*, const CacheRows&,
                               const KeyValueCache<float>&, float*, float*);
template void attention_decode(const AttentionShape&, const bf16*, const CacheRows&,
                               const KeyValueCache<bf16>&, bf16*, float*);

}  // namespace borealis
#endif
