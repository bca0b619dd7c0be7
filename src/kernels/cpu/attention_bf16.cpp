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

constexpr int64_t kScoreKeys = 64;         // keys whose scores are made at a time: they stay in L1
constexpr int64_t kForwardKeys = 512;      // keys per product with the values
constexpr int64_t kBackwardKeys = 128;     // keys whose dK and dV are in cache
constexpr int64_t kBackwardQueries = 256;  // queries per product that sums over queries
constexpr int64_t kQueryPanels = kBackwardQueries / kPanel;
constexpr double kLog2E = 1.4426950408889634;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Exponents are relative to the largest score of a query so far; while it grows by less than this
// (in powers of two), earlier sums are left as they are: no format is near its end at 2^8.
constexpr float kSlack = 8.0f;

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
  return kPanel * (s.width / 2 + s.columns + kScoreKeys + kForwardKeys / 2) + 4 * kPanel;
}

int64_t backward_floats(const AttentionShape& shape) {
  const Sizes s(shape);
  const int64_t packed_queries = 2 * (s.width / 2 + s.panels / 2) * s.queries;
  const int64_t packed_keys = kBackwardKeys * (s.width + s.panels / 2);
  const int64_t tiles = kBackwardKeys * 2 * s.columns + kScoreKeys * 2 * kPanel;
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

// What the online softmax knows of one panel of queries.
struct SoftmaxState {
  float* reference;  // [64] exponents are relative to these; a largest score so far, or nearly
  float* sum;        // [64] of the exponentials
  float* largest;    // [64] of the scores at hand
  float* rescale;    // [64] what earlier sums must be times when the reference grows
};

// Keys [begin, end) of a score tile that all lanes see; those before and behind need masks.
struct SeenByAll {
  int64_t begin, end;

  template <bool kDocuments>
  SeenByAll(const QueryLanes<kDocuments>& lanes, int64_t k0, int64_t keys)
      : begin(0), end(std::clamp<int64_t>(lanes.query + 1 - k0, 0, keys) / 2 * 2) {
    if constexpr (kDocuments) {
      begin = std::clamp<int64_t>((lanes.first_key_of_last - k0 + 1) / 2 * 2, 0, end);
    }
  }
};

// Largest exponents of scores [keys][64] from key k0 on. True if a reference must grow to them.
template <bool kDocuments>
inline bool find_largest(const Sizes& s, const SequenceDocuments& documents, int64_t q0, int64_t k0,
                         int64_t keys, const float* scores, const SoftmaxState& state) {
  __mmask16 grows = 0;
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const QueryLanes<kDocuments> lanes(documents, q0 + v);
    const SeenByAll all(lanes, k0, keys);
    __m512 top[2] = {_mm512_set1_ps(-kInfinity), _mm512_set1_ps(-kInfinity)};
    const auto masked = [&](int64_t from, int64_t to) {
      for (int64_t k = from; k < to; ++k) {
        top[0] = _mm512_mask_max_ps(top[0], lanes.see(k0 + k), top[0],
                                    _mm512_loadu_ps(scores + k * kPanel + v));
      }
    };
    masked(0, all.begin);
    for (int64_t k = all.begin; k < all.end; k += 2) {
      const float* row = scores + k * kPanel + v;
      top[0] = _mm512_max_ps(top[0], _mm512_loadu_ps(row));
      top[1] = _mm512_max_ps(top[1], _mm512_loadu_ps(row + kPanel));
    }
    masked(all.end, keys);
    const __m512 largest = _mm512_mul_ps(_mm512_max_ps(top[0], top[1]), _mm512_set1_ps(s.scale));
    _mm512_storeu_ps(state.largest + v, largest);
    const __m512 limit =
        _mm512_add_ps(_mm512_loadu_ps(state.reference + v), _mm512_set1_ps(kSlack));
    grows |= _mm512_cmp_ps_mask(largest, limit, _CMP_GT_OQ);
  }
  return grows != 0;
}

// Moves every reference to the largest exponent so far; sums and `rescale` follow.
inline void grow_references(const SoftmaxState& state) {
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const __m512 before = _mm512_loadu_ps(state.reference + v);
    const __m512 after = _mm512_max_ps(before, _mm512_loadu_ps(state.largest + v));
    // No key seen yet on either side: the difference of two infinities is not a number.
    const __mmask16 seen = _mm512_cmp_ps_mask(after, _mm512_set1_ps(-kInfinity), _CMP_NEQ_OQ);
    const __m512 factor = _mm512_maskz_mov_ps(seen, exp2_bf16(_mm512_sub_ps(before, after)));
    _mm512_storeu_ps(state.reference + v, after);
    _mm512_storeu_ps(state.rescale + v, factor);
    _mm512_storeu_ps(state.sum + v, _mm512_mul_ps(_mm512_loadu_ps(state.sum + v), factor));
  }
}

// Scores [keys][64] become words of probabilities [keys / 2][64], which are added to the sums.
template <bool kDocuments>
inline void exponentiate(const Sizes& s, const SequenceDocuments& documents, int64_t q0, int64_t k0,
                         int64_t keys, const float* scores, const SoftmaxState& state,
                         uint32_t* words) {
  const __m512 scale = _mm512_set1_ps(s.scale);
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const QueryLanes<kDocuments> lanes(documents, q0 + v);
    const SeenByAll all(lanes, k0, keys);
    const __m512 reference = _mm512_loadu_ps(state.reference + v);
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    const auto probability = [&](int64_t k) {
      const __m512 score = _mm512_loadu_ps(scores + k * kPanel + v);
      return exp2_bf16(_mm512_fmsub_ps(score, scale, reference));
    };
    const auto put = [&](int64_t k, __m512 p0, __m512 p1) {
      even = _mm512_add_ps(even, p0);
      odd = _mm512_add_ps(odd, p1);
      _mm512_storeu_si512(words + k / 2 * kPanel + v, round_to_words(p0, p1));
    };
    const auto masked = [&](int64_t from, int64_t to) {
      for (int64_t k = from; k < to; k += 2) {
        put(k, _mm512_maskz_mov_ps(lanes.see(k0 + k), probability(k)),
            _mm512_maskz_mov_ps(lanes.see(k0 + k + 1), probability(k + 1)));
      }
    };
    masked(0, all.begin);
    for (int64_t k = all.begin; k < all.end; k += 2) put(k, probability(k), probability(k + 1));
    masked(all.end, keys);
    const __m512 before = _mm512_loadu_ps(state.sum + v);
    _mm512_storeu_ps(state.sum + v, _mm512_add_ps(before, _mm512_add_ps(even, odd)));
  }
}

// The output of one panel of queries, of which some products may still be to do.
struct PanelOutput {
  float* rows;  // [64][columns]
  const Sizes& s;
  const uint32_t* values;  // words of V from key 0 on
  uint32_t* words;         // probabilities not yet multiplied, from key `pending_from` on
  int64_t pending_from = 0, pending_to = 0;
  bool empty = true;

  uint32_t* words_at(int64_t key) { return words + (key - pending_from) / 2 * kPanel; }
  void multiply() {
    if (pending_from == pending_to) return;
    tile_product(kPanel, s.columns, (pending_to - pending_from) / 2, {words, 1, kPanel},
                 values + pending_from / 2 * kPanel, s.queries / 2, rows, s.columns, !empty);
    pending_from = pending_to;
    empty = false;
  }
  void rescale(const float* factors) {
    if (empty) return;
    for (int64_t q = 0; q < kPanel; ++q) {
      const __m512 factor = _mm512_set1_ps(factors[q]);
      float* row = rows + q * s.columns;
      for (int64_t c = 0; c < s.columns; c += kLanes) {
        _mm512_storeu_ps(row + c, _mm512_mul_ps(_mm512_loadu_ps(row + c), factor));
      }
    }
  }
};

template <bool kDocuments>
void forward_block(const ForwardJob& job, int64_t b, int64_t head, int64_t block,
                   const float* packed, float* scratch) {
  const Sizes s(job.shape);
  const SequenceDocuments documents(job.document_starts, job.shape, b);
  const int64_t q0 = block * kPanel, rows = std::min(kPanel, s.T - q0);
  auto* query = reinterpret_cast<uint32_t*>(scratch);  // [width / 2][64]
  float* output_rows = scratch + kPanel * s.width / 2;
  float* scores = output_rows + kPanel * s.columns;  // [kScoreKeys][64]
  auto* words = reinterpret_cast<uint32_t*>(scores + kScoreKeys * kPanel);
  float* states = scores + (kScoreKeys + kForwardKeys / 2) * kPanel;
  const SoftmaxState state{states, states + kPanel, states + 2 * kPanel, states + 3 * kPanel};
  const auto* keys = reinterpret_cast<const uint32_t*>(packed);

  pack_transposed(job.qkv + (b * s.T + q0) * s.stride + head * s.C, s.stride, rows, s.C, s.width,
                  query);
  std::fill_n(state.reference, kPanel, -kInfinity);
  std::fill_n(state.sum, kPanel, 0.0f);
  const int64_t end = std::min(q0 + kPanel, s.keys);
  const int64_t begin = documents.first_key(q0) / kLanes * kLanes;
  PanelOutput output{output_rows, s, keys + s.queries * s.width / 2, words, begin, begin};
  for (int64_t k0 = begin; k0 < end; k0 += kScoreKeys) {
    const int64_t count = std::min(kScoreKeys, end - k0);
    tile_product(count, kPanel, s.words, {keys + k0 * s.width / 2, s.width / 2, 1}, query, 0,
                 scores, kPanel, false);
    if (find_largest<kDocuments>(s, documents, q0, k0, count, scores, state)) {
      output.multiply();
      grow_references(state);
      output.rescale(state.rescale);
    }
    exponentiate<kDocuments>(s, documents, q0, k0, count, scores, state, output.words_at(k0));
    output.pending_to = k0 + count;
    if (output.pending_to - output.pending_from == kForwardKeys) output.multiply();
  }
  output.multiply();
  bf16* out = job.out + (b * s.T + q0) * s.H * s.C + head * s.C;
  float* lse = job.lse + (b * s.H + head) * s.T + q0;
  for (int64_t q = 0; q < rows; ++q) {
    store_row(output_rows + q * s.columns, s.C, 1.0f / state.sum[q], out + q * s.H * s.C);
    lse[q] = state.reference[q] + std::log2(state.sum[q]);
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
  float *scores, *dscores;                // [kScoreKeys][64]
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
    scores = take(kScoreKeys * kPanel);
    dscores = take(kScoreKeys * kPanel);
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

// Probabilities p = 2^(score - lse) and score gradients p (dp - delta) of `rows` keys from the
// block's key `first` on and one panel of queries, as rows of bf16 and (gradients) as words of two
// keys.
template <bool kDocuments>
inline void softmax_backward(const Sizes& s, const SequenceDocuments& documents,
                             const BackwardScratch& w, int64_t query, int64_t k0, int64_t first,
                             int64_t rows, int64_t panel) {
  const __m512 scale = _mm512_set1_ps(s.scale);
  uint32_t* words = w.score_gradient_words + panel * (kBackwardKeys / 2) * kPanel;
  for (int64_t v = 0; v < kPanel; v += 2 * kLanes) {
    const __m512 lse[2] = {_mm512_loadu_ps(w.lse + query + v),
                           _mm512_loadu_ps(w.lse + query + v + kLanes)};
    const __m512 delta[2] = {_mm512_loadu_ps(w.delta + query + v),
                             _mm512_loadu_ps(w.delta + query + v + kLanes)};
    const QueryLanes<kDocuments> lanes[2] = {{documents, query + v},
                                             {documents, query + v + kLanes}};
    for (int64_t k = first; k < first + rows; k += 2) {
      __m512 p[2][2], ds[2][2];
#pragma GCC unroll 2
      for (int64_t r = 0; r < 2; ++r) {
#pragma GCC unroll 2
        for (int64_t half = 0; half < 2; ++half) {
          const int64_t at = (k - first + r) * kPanel + v + half * kLanes;
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
    for (int64_t first = 0; first < rows; first += kScoreKeys) {
      const int64_t count = std::min(kScoreKeys, rows - first), at = first * s.width / 2;
      tile_product(count, kPanel, s.words, {words_of(w.key) + at, s.width / 2, 1},
                   w.query_t + query * s.width / 2, 0, w.scores, kPanel, false);
      tile_product(count, kPanel, s.words, {words_of(w.value) + at, s.width / 2, 1},
                   w.dout_t + query * s.width / 2, 0, w.dscores, kPanel, false);
      softmax_backward<kDocuments>(s, documents, w, query, k0, first, count, panel);
    }
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
