// The backward tasks of attention_bf16-inl.h.
#pragma once

#include "base/rounding.h"
#include "kernels/cpu/attention_bf16-inl.h"

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::attention_bf16 {
namespace {

// What one backward task keeps in its scratch.
template <typename Products>
struct BackwardScratch {
  static constexpr int64_t kKeys = Products::kBackwardKeys;        // of a block
  static constexpr int64_t kQueries = Products::kBackwardQueries;  // of a product that sums them
  static_assert(kPartQueries % kKeys == 0 && kPartQueries % kQueries == 0);

  int64_t first, queries;  // of the task's part, in whole panels

  uint32_t *query_t, *dout_t;             // transposed panels [queries / 64][width / 2][64]
  uint32_t *query_words, *dout_words;     // interleaved panels [panels / 64][queries / 2][64]
  bf16 *key, *value;                      // [kKeys][width]
  uint32_t* key_words;                    // K's rows as Products has them
  float *dkey, *dvalue;                   // [kKeys][columns]
  float *scores, *dscores;                // [kScoreKeys][64]
  bf16 *probabilities, *score_gradients;  // [kKeys][kQueries]
  uint32_t* score_gradient_words;         // [query panels][kKeys / 2][64]
  float* dquery;                          // by panels of queries, as Products has them
  float *lse, *delta;                     // [queries]

  BackwardScratch(const Sizes& s, QueryPart part, float* next)
      : first(part.first), queries(round_up(part.last - part.first, kPanel)) {
    const auto take = [&next](int64_t floats) {
      float* taken = next;
      next += floats;
      return taken;
    };
    const auto take_words = [&take](int64_t n) { return reinterpret_cast<uint32_t*>(take(n)); };
    const auto take_bf16 = [&take](int64_t n) { return reinterpret_cast<bf16*>(take(n / 2)); };
    query_t = take_words(queries * s.width / 2);
    dout_t = take_words(queries * s.width / 2);
    query_words = take_words(queries / 2 * s.panels);
    dout_words = take_words(queries / 2 * s.panels);
    key = take_bf16(kKeys * s.width);
    value = take_bf16(kKeys * s.width);
    key_words = take_words(Products::key_rows_words(s, kKeys));
    dkey = take(kKeys * s.columns);
    dvalue = take(kKeys * s.columns);
    scores = take(kScoreKeys * kPanel);
    dscores = take(kScoreKeys * kPanel);
    probabilities = take_bf16(kKeys * kQueries);
    score_gradients = take_bf16(kKeys * kQueries);
    score_gradient_words = take_words(kKeys / 2 * kQueries);
    dquery = take(queries * s.columns);
    lse = take(queries);
    delta = take(queries);
  }
};

// sum of a * b over C
inline float dot(const bf16* a, const bf16* b, int64_t C) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t c = 0; c < C; c += 32) {
    sum = _mm512_dpbf16_ps(sum, (__m512bh)load_row(a, c, C), (__m512bh)load_row(b, c, C));
  }
  return _mm512_reduce_add_ps(sum);
}

// Everything of the queries that all key blocks read.
template <typename Products>
void pack_queries(const BackwardJob& job, const Sizes& s, int64_t b, int64_t head, QueryPart part,
                  const BackwardScratch<Products>& w) {
  const int64_t count = part.last - part.first, token = b * s.T + part.first;
  const bf16* query = job.qkv + token * s.stride + head * s.C;
  const int64_t out_stride = s.H * s.C, at = token * out_stride + head * s.C;
  for (int64_t q = 0; q < w.queries; q += kPanel) {
    const int64_t rows = std::min(kPanel, count - q);
    const bf16 *q_rows = query + q * s.stride, *dout_rows = job.dout + at + q * out_stride;
    pack_transposed(q_rows, s.stride, rows, s.C, s.width, w.query_t + q * s.width / 2);
    pack_transposed(dout_rows, out_stride, rows, s.C, s.width, w.dout_t + q * s.width / 2);
    pack_interleaved(q_rows, s.stride, rows, s.C, kPanel, s.width, w.queries / 2,
                     w.query_words + q / 2 * kPanel);
    pack_interleaved(dout_rows, out_stride, rows, s.C, kPanel, s.width, w.queries / 2,
                     w.dout_words + q / 2 * kPanel);
  }
  const float* lse = job.lse + (b * s.H + head) * s.T + part.first;
  for (int64_t q = 0; q < w.queries; ++q) {
    // Queries beyond the end have probability zero everywhere.
    w.lse[q] = q < count ? lse[q] : kInfinity;
    w.delta[q] =
        q < count ? dot(job.out + at + q * out_stride, job.dout + at + q * out_stride, s.C) : 0.0f;
  }
}

// Probabilities p = 2^(score - lse) and score gradients p (dp - delta) of `rows` keys from the
// block's key `first` on and one panel of queries, as rows of bf16 and (gradients) as words of two
// keys.
template <typename Products, bool kDocuments>
inline void softmax_backward(const Sizes& s, const SequenceDocuments& documents,
                             const BackwardScratch<Products>& w, int64_t query, int64_t k0,
                             int64_t first, int64_t rows, int64_t panel) {
  const __m512 scale = _mm512_set1_ps(s.scale);
  uint32_t* words = w.score_gradient_words + panel * (w.kKeys / 2) * kPanel;
  const float *of_lse = w.lse + query - w.first, *of_delta = w.delta + query - w.first;
  for (int64_t v = 0; v < kPanel; v += 2 * kLanes) {
    const __m512 lse[2] = {_mm512_loadu_ps(of_lse + v), _mm512_loadu_ps(of_lse + v + kLanes)};
    const __m512 delta[2] = {_mm512_loadu_ps(of_delta + v), _mm512_loadu_ps(of_delta + v + kLanes)};
    const QueryLanes<kDocuments> lanes[2] = {{documents, query + v},
                                             {documents, query + v + kLanes}};
    // Of both halves: the early one ends the keys that all see, the late one those that any sees.
    const SeenByAll early(lanes[0], k0 + first, rows), late(lanes[1], k0 + first, rows);
    const int64_t begin = first + std::min(std::max(early.begin, late.begin), early.end);
    const int64_t end = first + early.end, hidden = first + late.hidden;
    const auto two_keys = [&]<bool kMasked>(int64_t k) {
      __m512 p[2][2], ds[2][2];
#pragma GCC unroll 2
      for (int64_t r = 0; r < 2; ++r) {
#pragma GCC unroll 2
        for (int64_t half = 0; half < 2; ++half) {
          const int64_t at = (k - first + r) * kPanel + v + half * kLanes;
          const __m512 exponent = _mm512_fmsub_ps(_mm512_loadu_ps(w.scores + at), scale, lse[half]);
          p[r][half] = exp2_bf16(exponent);
          if constexpr (kMasked) {
            p[r][half] = _mm512_maskz_mov_ps(lanes[half].see(k0 + k + r), p[r][half]);
          }
          ds[r][half] = _mm512_mul_ps(p[r][half],
                                      _mm512_sub_ps(_mm512_loadu_ps(w.dscores + at), delta[half]));
        }
        const int64_t row = (k + r) * w.kQueries + panel * kPanel + v;
        _mm512_storeu_si512(w.probabilities + row, round_side_by_side(p[r][0], p[r][1]));
        _mm512_storeu_si512(w.score_gradients + row, round_side_by_side(ds[r][0], ds[r][1]));
      }
      _mm512_storeu_si512(words + k / 2 * kPanel + v, round_to_words(ds[0][0], ds[1][0]));
      _mm512_storeu_si512(words + k / 2 * kPanel + v + kLanes, round_to_words(ds[0][1], ds[1][1]));
    };
    for (int64_t k = first; k < begin; k += 2) two_keys.template operator()<true>(k);
    for (int64_t k = begin; k < end; k += 2) two_keys.template operator()<false>(k);
    for (int64_t k = end; k < hidden; k += 2) two_keys.template operator()<true>(k);
    for (int64_t k = hidden; k < first + rows; k += 2) {
      const __m512i zero = _mm512_setzero_si512();
      for (int64_t r = 0; r < 2; ++r) {
        const int64_t row = (k + r) * w.kQueries + panel * kPanel + v;
        _mm512_storeu_si512(w.probabilities + row, zero);
        _mm512_storeu_si512(w.score_gradients + row, zero);
      }
      _mm512_storeu_si512(words + k / 2 * kPanel + v, zero);
      _mm512_storeu_si512(words + k / 2 * kPanel + v + kLanes, zero);
    }
  }
}

// One block of keys against up to kBackwardQueries queries of [q0, queries_end).
template <typename Products, bool kDocuments>
void backward_block(const Sizes& s, const SequenceDocuments& documents,
                    const BackwardScratch<Products>& w, int64_t k0, int64_t keys, int64_t q0,
                    int64_t queries_end) {
  const int64_t panels = divide_up(std::min(w.kQueries, queries_end - q0), kPanel);
  const auto words_of = [](const bf16* p) { return reinterpret_cast<const uint32_t*>(p); };
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t query = q0 + panel * kPanel, packed = query - w.first;
    const int64_t rows = std::min(keys, query + kPanel - k0);  // those that any of its queries sees
    for (int64_t first = 0; first < rows; first += kScoreKeys) {
      const int64_t count = std::min(kScoreKeys, rows - first), at = first * s.width / 2;
      Products::multiply(count, kPanel, s.words, {words_of(w.key) + at, s.width / 2},
                         w.query_t + packed * s.width / 2, 0, w.scores, kPanel, false);
      Products::multiply(count, kPanel, s.words, {words_of(w.value) + at, s.width / 2},
                         w.dout_t + packed * s.width / 2, 0, w.dscores, kPanel, false);
      softmax_backward<Products, kDocuments>(s, documents, w, query, k0, first, count, panel);
    }
    const uint32_t* words = w.score_gradient_words + panel * (w.kKeys / 2) * kPanel;
    Products::add_key_rows(s, words, w.key_words, w.kKeys, 0, rows, w.dquery + packed * s.columns,
                           documents.first_key(query) < k0);
  }
  // Sums over queries; near the diagonal, rows of 64 keys begin at the first panel that sees them.
  const bool diagonal = q0 < k0 + keys;
  const int64_t step = diagonal ? kPanel : keys;
  for (int64_t key = 0; key < keys; key += step) {
    const int64_t rows = std::min(step, keys - key);
    const int64_t skipped = std::max<int64_t>(k0 + key - q0, 0) / kPanel * kPanel;
    const int64_t count = panels * kPanel - skipped;
    if (count <= 0) continue;
    const int64_t a = (key * w.kQueries + skipped) / 2, pair = (q0 + skipped - w.first) / 2;
    Products::multiply(rows, s.columns, count / 2, {words_of(w.probabilities) + a, w.kQueries / 2},
                       w.dout_words + pair * kPanel, w.queries / 2, w.dvalue + key * s.columns,
                       s.columns, true);
    Products::multiply(
        rows, s.columns, count / 2, {words_of(w.score_gradients) + a, w.kQueries / 2},
        w.query_words + pair * kPanel, w.queries / 2, w.dkey + key * s.columns, s.columns, true);
  }
}

// Adds this task's dK and dV of one key block to those of the tasks before it in the group; the
// last one stores them.
template <typename Products>
void hand_over(const BackwardJob& job, const Sizes& s, int64_t b, int64_t kv_head, int64_t k0,
               const KeyGradientTurns& turns, const BackwardScratch<Products>& w) {
  const int64_t keys = std::min(w.kKeys, s.T - k0), ld = key_gradient_width(s.C);
  const float factors[] = {static_cast<float>(s.scale / kLog2E), 1.0f};
  float* tiles[] = {w.dkey, w.dvalue};
  const bool first = turns.first(), last = turns.last(k0 / w.kKeys);
  turns.begin(k0 / w.kKeys);
  for (int64_t which = 0; which < 2; ++which) {
    bf16* dst = job.dqkv + (b * s.T + k0) * s.stride +
                (s.H + which * job.shape.num_key_value_heads + kv_head) * s.C;
    for (int64_t r = 0; r < keys; ++r) {
      float* row = tiles[which] + r * s.columns;
      float* sums = turns.sums + (which * s.T + k0 + r) * ld;
      if (!first || !last) {
        for (int64_t c = 0; c < s.columns; c += kLanes) {
          __m512 sum = _mm512_loadu_ps(row + c);
          if (!first) sum = _mm512_add_ps(_mm512_loadu_ps(sums + c), sum);
          _mm512_storeu_ps((last ? row : sums) + c, sum);
        }
      }
      if (last) store_row(row, s.C, factors[which], dst + r * s.stride);
    }
  }
  turns.end(k0 / w.kKeys);
}

template <typename Products, bool kDocuments>
void backward_part(const BackwardJob& job, int64_t b, int64_t head, QueryPart part,
                   const KeyGradientTurns& turns, float* scratch) {
  const Sizes s(job.shape, Products::kKeys);
  const BackwardScratch<Products> w(s, part, scratch);
  const SequenceDocuments documents(job.document_starts, job.shape, b);
  [[maybe_unused]] const typename Products::Session session;
  const int64_t kv_head = head / job.shape.group_size();
  pack_queries(job, s, b, head, part, w);
  for (int64_t k0 = 0; k0 < part.last; k0 += w.kKeys) {
    const int64_t keys = std::min(w.kKeys, s.keys - k0), rows = std::min(keys, s.T - k0);
    const bf16* key = job.qkv + (b * s.T + k0) * s.stride + (s.H + kv_head) * s.C;
    const bf16* value = key + job.shape.num_key_value_heads * s.C;
    pack_rows(key, s.stride, rows, s.C, keys, s.width, w.key);
    pack_rows(value, s.stride, rows, s.C, keys, s.width, w.value);
    Products::pack_key_rows(s, {key, s.stride, rows}, 0, keys, w.kKeys, w.key_words);
    std::fill_n(w.dkey, keys * s.columns, 0.0f);
    std::fill_n(w.dvalue, keys * s.columns, 0.0f);
    const int64_t queries_end = std::min(documents.queries_end(k0 + keys), part.last);
    for (int64_t q0 = std::max(k0, part.first); q0 < queries_end; q0 += w.kQueries) {
      backward_block<Products, kDocuments>(s, documents, w, k0, keys, q0, queries_end);
    }
    hand_over(job, s, b, kv_head, k0, turns, w);
  }
  float factors[kPanel];
  std::fill_n(factors, kPanel, static_cast<float>(s.scale / kLog2E));
  bf16* dquery = job.dqkv + b * s.T * s.stride + head * s.C;
  for (int64_t q = part.first; q < part.last; q += kPanel) {
    Products::store_queries(s, w.dquery + (q - part.first) * s.columns,
                            std::min(kPanel, part.last - q), factors, dquery + q * s.stride,
                            s.stride);
  }
}

template <typename Products>
int64_t backward_floats(const AttentionShape& shape) {
  const Sizes s(shape, Products::kKeys);
  constexpr int64_t kKeys = Products::kBackwardKeys, kQueries = Products::kBackwardQueries;
  const int64_t queries = std::min(s.queries, kPartQueries);
  const int64_t packed_queries = 2 * (s.width / 2 + s.panels / 2) * queries;
  const int64_t packed_keys = kKeys * s.width + Products::key_rows_words(s, kKeys);
  const int64_t tiles = kKeys * 2 * s.columns + kScoreKeys * 2 * kPanel;
  const int64_t words = 3 * kKeys * kQueries / 2;
  return packed_queries + packed_keys + tiles + words + queries * (s.columns + 2);
}

template <typename Products>
void backward_task(const BackwardJob& job, int64_t b, int64_t head, QueryPart part,
                   const KeyGradientTurns& turns, float* scratch) {
  const auto backward = job.document_starts == nullptr ? backward_part<Products, false>
                                                       : backward_part<Products, true>;
  backward(job, b, head, part, turns, scratch);
}

}  // namespace
}  // namespace borealis::attention_bf16
BOREALIS_END_AVX512_BF16
