// The tasks of attention with AVX512-BF16's dot products. Scores are held transposed, [keys][64
// queries]: queries lie in lanes, so the softmax needs no sums across lanes, and two rows of
// probabilities interleaved are the words that the next product reads. Probabilities and score
// gradients are rounded to bf16 before they are multiplied, as in any bf16 flash attention; sums
// are f32.
#include "kernels/cpu/attention_tasks.h"
#include "kernels/cpu_isa.h"

#if defined(__x86_64__)
#include <cmath>
#include <limits>

#include "kernels/cpu/bf16_tile-inl.h"

BOREALIS_BEGIN_AVX512_BF16
namespace borealis {
namespace {

using namespace bf16_tile;  // NOLINT: the vocabulary of this file

using ForwardJob = AttentionForwardJob<bf16>;
using BackwardJob = AttentionBackwardJob<bf16>;

constexpr int64_t kForwardKeys = 256;      // keys per step of the online softmax
constexpr int64_t kBackwardKeys = 128;     // keys whose dK and dV are in cache
constexpr int64_t kBackwardQueries = 256;  // queries per product that sums over queries
constexpr int64_t kQueryPanels = kBackwardQueries / kPanel;
constexpr double kLog2E = 1.4426950408889634;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Sizes that follow from an AttentionShape.
struct Sizes {
  int64_t C, T, H, stride;
  int64_t words;    // C in words, for sums over columns
  int64_t width;    // C in packed rows, bf16
  int64_t columns;  // C as columns of a product
  int64_t panels;   // C as panels of B, in columns
  int64_t keys;     // T rounded up to what rows of a product need
  int64_t queries;  // T in whole panels
  float scale;      // of scores, to exponents of 2

  explicit Sizes(const AttentionShape& s)
      : C(s.head_dim),
        T(s.seq_length),
        H(s.num_heads),
        stride(s.row_stride()),
        words((C + 1) / 2),
        width(round_up(C, 32)),
        columns(round_up(C, kLanes)),
        panels(round_up(C, kPanel)),
        keys(round_up(T, kLanes)),
        queries(round_up(T, kPanel)),
        scale(static_cast<float>(kLog2E / std::sqrt(static_cast<double>(C)))) {}
};

// Packed group: K [queries][width] bf16, then V's panels, [queries / 2][64] words each.
int64_t packed_floats(const AttentionShape& shape) {
  const Sizes s(shape);
  return s.queries * s.width / 2 + s.queries / 2 * s.panels;
}

int64_t forward_floats(const AttentionShape& shape) {
  const Sizes s(shape);
  return kPanel * (s.width / 2 + s.columns + kForwardKeys + kForwardKeys / 2) + 3 * kPanel;
}

int64_t backward_floats(const AttentionShape& shape) {
  const Sizes s(shape);
  const int64_t packed_queries = 2 * (s.width / 2 + s.panels / 2) * s.queries;
  const int64_t packed_keys = kBackwardKeys * (s.width + s.panels / 2);
  const int64_t tiles = kBackwardKeys * 2 * (s.columns + kPanel);
  const int64_t words = 3 * kBackwardKeys * kBackwardQueries / 2;
  return packed_queries + packed_keys + tiles + words + s.queries * (s.columns + 2);
}

// The lanes of queries q .. q + 15 that see the key.
inline __mmask16 sees(int64_t query, int64_t key) {
  const int64_t hidden = std::clamp<int64_t>(key - query, 0, kLanes);
  return static_cast<__mmask16>(0xffffu << hidden);
}

// Sixteen queries and which keys they see. Without documents (kDocuments false) that costs what
// `sees` does.
template <bool kDocuments>
struct QueryLanes {
  int64_t query;
  int64_t first_key_of_last = 0;  // every lane sees the keys from here to its own place
  __m512i starts = {};

  QueryLanes(const SequenceDocuments& documents, int64_t first_query) : query(first_query) {
    if constexpr (kDocuments) {
      // Lanes beyond the sequence hold no query: any start will do.
      const auto left =
          static_cast<unsigned>(std::clamp<int64_t>(documents.seq_length - query, 0, kLanes));
      starts = _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << left) - 1),
                                        documents.starts + query);
      if (left > 0) first_key_of_last = documents.starts[query + left - 1];
    }
  }
  __mmask16 see(int64_t key) const {
    if constexpr (!kDocuments) return sees(query, key);
    return _mm512_mask_cmple_epi32_mask(sees(query, key), starts,
                                        _mm512_set1_epi32(static_cast<int32_t>(key)));
  }
};

void pack(const ForwardJob& job, int64_t b, int64_t kv_head, int64_t block, float* packed) {
  const Sizes s(job.shape);
  const int64_t first = block * kPanel, rows = std::min(kPanel, s.T - first);
  const bf16* key = job.qkv + (b * s.T + first) * s.stride + (s.H + kv_head) * s.C;
  const bf16* value = key + job.shape.num_key_value_heads * s.C;
  pack_rows(key, s.stride, rows, s.C, kPanel, s.width,
            reinterpret_cast<bf16*>(packed) + first * s.width);
  auto* values = reinterpret_cast<uint32_t*>(packed + s.queries * s.width / 2);
  pack_interleaved(value, s.stride, rows, s.C, kPanel, s.width, s.queries / 2,
                   values + first / 2 * kPanel);
}

// One step of the online softmax over `keys` keys from k0 on: scores [keys][64] become words of
// probabilities [keys / 2][64]; `largest` and `sum` are updated, `rescale` is what earlier sums
// must be times.
template <bool kDocuments>
inline void softmax_step(const Sizes& s, const SequenceDocuments& documents, int64_t q0, int64_t k0,
                         int64_t keys, bool first, float* scores, uint32_t* words, float* largest,
                         float* sum, float* rescale) {
  const __m512 scale = _mm512_set1_ps(s.scale);
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const QueryLanes<kDocuments> lanes(documents, q0 + v);
    __m512 top = _mm512_set1_ps(-kInfinity);
    // Keys [begin, seen_by_all) are seen by all lanes.
    const int64_t seen_by_all = std::clamp<int64_t>(lanes.query + 1 - k0, 0, keys) / 2 * 2;
    const int64_t begin =
        kDocuments ? std::clamp<int64_t>((lanes.first_key_of_last - k0 + 1) / 2 * 2, 0, seen_by_all)
                   : 0;
    const auto masked_maximum = [&](int64_t from, int64_t to) {
      for (int64_t k = from; k < to; ++k) {
        top = _mm512_mask_max_ps(top, lanes.see(k0 + k), top,
                                 _mm512_loadu_ps(scores + k * kPanel + v));
      }
    };
    if constexpr (kDocuments) masked_maximum(0, begin);
    for (int64_t k = begin; k < seen_by_all; ++k) {
      top = _mm512_max_ps(top, _mm512_loadu_ps(scores + k * kPanel + v));
    }
    masked_maximum(seen_by_all, keys);
    const __m512 before = first ? _mm512_set1_ps(-kInfinity) : _mm512_loadu_ps(largest + v);
    top = _mm512_max_ps(_mm512_mul_ps(top, scale), before);
    const __m512 factor = first ? _mm512_setzero_ps() : exp2_bf16(_mm512_sub_ps(before, top));
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    const auto masked_steps = [&](int64_t from, int64_t to) {
      for (int64_t k = from; k < to; k += 2) {
        const float* row = scores + k * kPanel + v;
        const __m512 p0 = _mm512_maskz_mov_ps(
            lanes.see(k0 + k), exp2_bf16(_mm512_fmsub_ps(_mm512_loadu_ps(row), scale, top)));
        const __m512 p1 = _mm512_maskz_mov_ps(
            lanes.see(k0 + k + 1),
            exp2_bf16(_mm512_fmsub_ps(_mm512_loadu_ps(row + kPanel), scale, top)));
        even = _mm512_add_ps(even, p0);
        odd = _mm512_add_ps(odd, p1);
        _mm512_storeu_si512(words + k / 2 * kPanel + v, round_to_words(p0, p1));
      }
    };
    if constexpr (kDocuments) masked_steps(0, begin);
    for (int64_t k = begin; k < seen_by_all; k += 2) {
      const float* row = scores + k * kPanel + v;
      const __m512 p0 = exp2_bf16(_mm512_fmsub_ps(_mm512_loadu_ps(row), scale, top));
      const __m512 p1 = exp2_bf16(_mm512_fmsub_ps(_mm512_loadu_ps(row + kPanel), scale, top));
      even = _mm512_add_ps(even, p0);
      odd = _mm512_add_ps(odd, p1);
      _mm512_storeu_si512(words + k / 2 * kPanel + v, round_to_words(p0, p1));
    }
    masked_steps(seen_by_all, keys);
    const __m512 old_sum = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sum + v);
    _mm512_storeu_ps(sum + v, _mm512_fmadd_ps(old_sum, factor, _mm512_add_ps(even, odd)));
    _mm512_storeu_ps(largest + v, top);
    _mm512_storeu_ps(rescale + v, factor);
  }
}

template <bool kDocuments>
void forward_block(const ForwardJob& job, int64_t b, int64_t head, int64_t block,
                   const float* packed, float* scratch) {
  const Sizes s(job.shape);
  const SequenceDocuments documents(job.document_starts, job.shape, b);
  const int64_t q0 = block * kPanel, rows = std::min(kPanel, s.T - q0);
  auto* query = reinterpret_cast<uint32_t*>(scratch);  // [width / 2][64]
  float* output = scratch + kPanel * s.width / 2;      // [64][columns]
  float* scores = output + kPanel * s.columns;         // [keys][64]
  auto* words = reinterpret_cast<uint32_t*>(scores + kForwardKeys * kPanel);
  float* largest = scores + (kForwardKeys + kForwardKeys / 2) * kPanel;
  float* sum = largest + kPanel;
  float* rescale = sum + kPanel;
  const auto* keys = reinterpret_cast<const uint32_t*>(packed);
  const uint32_t* values = keys + s.queries * s.width / 2;

  pack_transposed(job.qkv + (b * s.T + q0) * s.stride + head * s.C, s.stride, rows, s.C, s.width,
                  query);
  const int64_t end = std::min(q0 + kPanel, s.keys);
  const int64_t begin = documents.first_key(q0) / kLanes * kLanes;
  for (int64_t k0 = begin; k0 < end; k0 += kForwardKeys) {
    const int64_t count = std::min(kForwardKeys, end - k0);
    const bool first = k0 == begin;
    tile_product(count, kPanel, s.words, {keys + k0 * s.width / 2, s.width / 2, 1}, query, 0,
                 scores, kPanel, false);
    softmax_step<kDocuments>(s, documents, q0, k0, count, first, scores, words, largest, sum,
                             rescale);
    if (!first) {
      for (int64_t q = 0; q < kPanel; ++q) {
        const __m512 factor = _mm512_set1_ps(rescale[q]);
        float* row = output + q * s.columns;
        for (int64_t c = 0; c < s.columns; c += kLanes) {
          _mm512_storeu_ps(row + c, _mm512_mul_ps(_mm512_loadu_ps(row + c), factor));
        }
      }
    }
    tile_product(kPanel, s.columns, count / 2, {words, 1, kPanel}, values + k0 / 2 * kPanel,
                 s.queries / 2, output, s.columns, !first);
  }
  bf16* out = job.out + (b * s.T + q0) * s.H * s.C + head * s.C;
  float* lse = job.lse + (b * s.H + head) * s.T + q0;
  for (int64_t q = 0; q < rows; ++q) {
    store_row(output + q * s.columns, s.C, 1.0f / sum[q], out + q * s.H * s.C);
    lse[q] = largest[q] + std::log2(sum[q]);
  }
}

void forward_task(const ForwardJob& job, int64_t b, int64_t head, int64_t block,
                  const float* packed, float* scratch) {
  const auto forward = job.document_starts == nullptr ? forward_block<false> : forward_block<true>;
  forward(job, b, head, block, packed, scratch);
}

// What one backward task keeps in its scratch.
struct BackwardScratch {
  uint32_t *query_t, *dout_t;             // transposed panels [queries / 64][width / 2][64]
  uint32_t *query_words, *dout_words;     // interleaved panels [panels / 64][queries / 2][64]
  bf16 *key, *value;                      // [keys of a block][width]
  uint32_t* key_words;                    // [panels / 64][keys / 2][64]
  float *dkey, *dvalue;                   // [keys][columns]
  float *scores, *dscores;                // [keys][64]
  bf16 *probabilities, *score_gradients;  // [keys][kBackwardQueries]
  uint32_t* score_gradient_words;         // [query panels][keys / 2][64]
  float *dquery, *lse, *delta;            // [queries][columns], [queries], [queries]

  BackwardScratch(const Sizes& s, float* next) {
    const auto take = [&next](int64_t floats) {
      float* part = next;
      next += floats;
      return part;
    };
    const auto take_words = [&take](int64_t n) { return reinterpret_cast<uint32_t*>(take(n)); };
    const auto take_bf16 = [&take](int64_t n) { return reinterpret_cast<bf16*>(take(n / 2)); };
    query_t = take_words(s.queries * s.width / 2);
    dout_t = take_words(s.queries * s.width / 2);
    query_words = take_words(s.queries / 2 * s.panels);
    dout_words = take_words(s.queries / 2 * s.panels);
    key = take_bf16(kBackwardKeys * s.width);
    value = take_bf16(kBackwardKeys * s.width);
    key_words = take_words(kBackwardKeys / 2 * s.panels);
    dkey = take(kBackwardKeys * s.columns);
    dvalue = take(kBackwardKeys * s.columns);
    scores = take(kBackwardKeys * kPanel);
    dscores = take(kBackwardKeys * kPanel);
    probabilities = take_bf16(kBackwardKeys * kBackwardQueries);
    score_gradients = take_bf16(kBackwardKeys * kBackwardQueries);
    score_gradient_words = take_words(kBackwardKeys / 2 * kBackwardQueries);
    dquery = take(s.queries * s.columns);
    lse = take(s.queries);
    delta = take(s.queries);
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
void pack_queries(const BackwardJob& job, const Sizes& s, int64_t b, int64_t head,
                  const BackwardScratch& w) {
  const bf16* query = job.qkv + b * s.T * s.stride + head * s.C;
  const int64_t out_stride = s.H * s.C, at = b * s.T * out_stride + head * s.C;
  for (int64_t q = 0; q < s.queries; q += kPanel) {
    const int64_t rows = std::min(kPanel, s.T - q);
    const bf16 *q_rows = query + q * s.stride, *dout_rows = job.dout + at + q * out_stride;
    pack_transposed(q_rows, s.stride, rows, s.C, s.width, w.query_t + q * s.width / 2);
    pack_transposed(dout_rows, out_stride, rows, s.C, s.width, w.dout_t + q * s.width / 2);
    pack_interleaved(q_rows, s.stride, rows, s.C, kPanel, s.width, s.queries / 2,
                     w.query_words + q / 2 * kPanel);
    pack_interleaved(dout_rows, out_stride, rows, s.C, kPanel, s.width, s.queries / 2,
                     w.dout_words + q / 2 * kPanel);
  }
  const float* lse = job.lse + (b * s.H + head) * s.T;
  for (int64_t q = 0; q < s.queries; ++q) {
    // Queries beyond the end have probability zero everywhere.
    w.lse[q] = q < s.T ? lse[q] : kInfinity;
    w.delta[q] =
        q < s.T ? dot(job.out + at + q * out_stride, job.dout + at + q * out_stride, s.C) : 0.0f;
  }
}

// Probabilities p = 2^(score - lse) and score gradients p (dp - delta) of `rows` keys and one panel
// of queries, as rows of bf16 and (gradients) as words of two keys.
template <bool kDocuments>
inline void softmax_backward(const Sizes& s, const SequenceDocuments& documents,
                             const BackwardScratch& w, int64_t query, int64_t k0, int64_t rows,
                             int64_t panel) {
  const __m512 scale = _mm512_set1_ps(s.scale);
  uint32_t* words = w.score_gradient_words + panel * (kBackwardKeys / 2) * kPanel;
  for (int64_t v = 0; v < kPanel; v += 2 * kLanes) {
    const __m512 lse[2] = {_mm512_loadu_ps(w.lse + query + v),
                           _mm512_loadu_ps(w.lse + query + v + kLanes)};
    const __m512 delta[2] = {_mm512_loadu_ps(w.delta + query + v),
                             _mm512_loadu_ps(w.delta + query + v + kLanes)};
    const QueryLanes<kDocuments> lanes[2] = {{documents, query + v},
                                             {documents, query + v + kLanes}};
    for (int64_t k = 0; k < rows; k += 2) {
      __m512 p[2][2], ds[2][2];
#pragma GCC unroll 2
      for (int64_t r = 0; r < 2; ++r) {
#pragma GCC unroll 2
        for (int64_t half = 0; half < 2; ++half) {
          const int64_t at = (k + r) * kPanel + v + half * kLanes;
          const __m512 exponent = _mm512_fmsub_ps(_mm512_loadu_ps(w.scores + at), scale, lse[half]);
          p[r][half] = _mm512_maskz_mov_ps(lanes[half].see(k0 + k + r), exp2_bf16(exponent));
          ds[r][half] = _mm512_mul_ps(p[r][half],
                                      _mm512_sub_ps(_mm512_loadu_ps(w.dscores + at), delta[half]));
        }
        const int64_t row = (k + r) * kBackwardQueries + panel * kPanel + v;
        _mm512_storeu_si512(w.probabilities + row, round_side_by_side(p[r][0], p[r][1]));
        _mm512_storeu_si512(w.score_gradients + row, round_side_by_side(ds[r][0], ds[r][1]));
      }
      _mm512_storeu_si512(words + k / 2 * kPanel + v, round_to_words(ds[0][0], ds[1][0]));
      _mm512_storeu_si512(words + k / 2 * kPanel + v + kLanes, round_to_words(ds[0][1], ds[1][1]));
    }
  }
}

// One block of keys against up to kBackwardQueries queries of [q0, queries_end).
template <bool kDocuments>
void backward_block(const Sizes& s, const SequenceDocuments& documents, const BackwardScratch& w,
                    int64_t k0, int64_t keys, int64_t q0, int64_t queries_end) {
  const int64_t panels = (std::min(kBackwardQueries, queries_end - q0) + kPanel - 1) / kPanel;
  const auto words_of = [](const bf16* p) { return reinterpret_cast<const uint32_t*>(p); };
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t query = q0 + panel * kPanel;
    const int64_t rows = std::min(keys, query + kPanel - k0);  // those that any of its queries sees
    tile_product(rows, kPanel, s.words, {words_of(w.key), s.width / 2, 1},
                 w.query_t + query * s.width / 2, 0, w.scores, kPanel, false);
    tile_product(rows, kPanel, s.words, {words_of(w.value), s.width / 2, 1},
                 w.dout_t + query * s.width / 2, 0, w.dscores, kPanel, false);
    softmax_backward<kDocuments>(s, documents, w, query, k0, rows, panel);
    const uint32_t* words = w.score_gradient_words + panel * (kBackwardKeys / 2) * kPanel;
    tile_product(kPanel, s.columns, rows / 2, {words, 1, kPanel}, w.key_words, kBackwardKeys / 2,
                 w.dquery + query * s.columns, s.columns, documents.first_key(query) < k0);
  }
  // Sums over queries; near the diagonal, rows of 64 keys begin at the first panel that sees them.
  const bool diagonal = q0 < k0 + keys;
  const int64_t step = diagonal ? kPanel : keys;
  for (int64_t key = 0; key < keys; key += step) {
    const int64_t rows = std::min(step, keys - key);
    const int64_t skipped = std::max<int64_t>(k0 + key - q0, 0) / kPanel * kPanel;
    const int64_t count = panels * kPanel - skipped;
    if (count <= 0) continue;
    const int64_t a = (key * kBackwardQueries + skipped) / 2, pair = (q0 + skipped) / 2;
    tile_product(
        rows, s.columns, count / 2, {words_of(w.probabilities) + a, kBackwardQueries / 2, 1},
        w.dout_words + pair * kPanel, s.queries / 2, w.dvalue + key * s.columns, s.columns, true);
    tile_product(
        rows, s.columns, count / 2, {words_of(w.score_gradients) + a, kBackwardQueries / 2, 1},
        w.query_words + pair * kPanel, s.queries / 2, w.dkey + key * s.columns, s.columns, true);
  }
}

// Adds this head's dK and dV of one key block to those of the heads before it in the group; the
// last head stores them.
void hand_over(const BackwardJob& job, const Sizes& s, int64_t b, int64_t kv_head, int64_t k0,
               const KeyGradientTurns& turns, const BackwardScratch& w) {
  const int64_t keys = std::min(kBackwardKeys, s.T - k0), ld = key_gradient_width(s.C);
  const float factors[] = {static_cast<float>(s.scale / kLog2E), 1.0f};
  float* tiles[] = {w.dkey, w.dvalue};
  turns.begin(k0 / kBackwardKeys);
  for (int64_t which = 0; which < 2; ++which) {
    bf16* dst = job.dqkv + (b * s.T + k0) * s.stride +
                (s.H + which * job.shape.num_key_value_heads + kv_head) * s.C;
    for (int64_t r = 0; r < keys; ++r) {
      float* row = tiles[which] + r * s.columns;
      float* sums = turns.sums + (which * s.T + k0 + r) * ld;
      if (!turns.first() || !turns.last()) {
        for (int64_t c = 0; c < s.columns; c += kLanes) {
          __m512 sum = _mm512_loadu_ps(row + c);
          if (!turns.first()) sum = _mm512_add_ps(_mm512_loadu_ps(sums + c), sum);
          _mm512_storeu_ps((turns.last() ? row : sums) + c, sum);
        }
      }
      if (turns.last()) store_row(row, s.C, factors[which], dst + r * s.stride);
    }
  }
  turns.end(k0 / kBackwardKeys);
}

template <bool kDocuments>
void backward_head(const BackwardJob& job, int64_t b, int64_t head, const KeyGradientTurns& turns,
                   float* scratch) {
  const Sizes s(job.shape);
  const BackwardScratch w(s, scratch);
  const SequenceDocuments documents(job.document_starts, job.shape, b);
  const int64_t kv_head = head / job.shape.group_size();
  pack_queries(job, s, b, head, w);
  for (int64_t k0 = 0; k0 < s.T; k0 += kBackwardKeys) {
    const int64_t keys = std::min(kBackwardKeys, s.keys - k0), rows = std::min(keys, s.T - k0);
    const bf16* key = job.qkv + (b * s.T + k0) * s.stride + (s.H + kv_head) * s.C;
    const bf16* value = key + job.shape.num_key_value_heads * s.C;
    pack_rows(key, s.stride, rows, s.C, keys, s.width, w.key);
    pack_rows(value, s.stride, rows, s.C, keys, s.width, w.value);
    pack_interleaved(key, s.stride, rows, s.C, keys, s.width, kBackwardKeys / 2, w.key_words);
    std::fill_n(w.dkey, keys * s.columns, 0.0f);
    std::fill_n(w.dvalue, keys * s.columns, 0.0f);
    const int64_t queries_end = documents.queries_end(k0 + keys);
    for (int64_t q0 = k0; q0 < queries_end; q0 += kBackwardQueries) {
      backward_block<kDocuments>(s, documents, w, k0, keys, q0, queries_end);
    }
    hand_over(job, s, b, kv_head, k0, turns, w);
  }
  bf16* dquery = job.dqkv + b * s.T * s.stride + head * s.C;
  for (int64_t q = 0; q < s.T; ++q) {
    store_row(w.dquery + q * s.columns, s.C, static_cast<float>(s.scale / kLog2E),
              dquery + q * s.stride);
  }
}

void backward_task(const BackwardJob& job, int64_t b, int64_t head, const KeyGradientTurns& turns,
                   float* scratch) {
  const auto backward = job.document_starts == nullptr ? backward_head<false> : backward_head<true>;
  backward(job, b, head, turns, scratch);
}

}  // namespace
}  // namespace borealis
BOREALIS_END_AVX512_BF16

namespace borealis {

const AttentionTasks<bf16>& bf16_attention_tasks() {
  static const AttentionTasks<bf16> tasks{kPanel,         kBackwardKeys,   packed_floats,
                                          forward_floats, backward_floats, pack,
                                          forward_task,   backward_task};
  return tasks;
}

bool bf16_attention_supported() {
  return native_bf16_products() && __builtin_cpu_supports("avx512bf16") != 0;
}

}  // namespace borealis

#else
#include "base/check.h"

namespace borealis {

const AttentionTasks<bf16>& bf16_attention_tasks() {
  check_failed("bf16_attention_supported()", __FILE__, __LINE__);
}
bool bf16_attention_supported() { return false; }

}  // namespace borealis
#endif
