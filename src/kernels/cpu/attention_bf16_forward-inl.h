// The forward tasks of attention_bf16-inl.h.
#pragma once

#include <array>
#include <optional>

#include "kernels/cpu/attention_bf16-inl.h"

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::attention_bf16 {
namespace {

constexpr int64_t kForwardKeys = 512;  // keys per product with the values
// Exponents are relative to the largest score of a query so far; while it grows by less than this
// (in powers of two), earlier sums are left as they are: no format is near its end at 2^8.
constexpr float kSlack = 8.0f;

// What the online softmax knows of one panel of queries.
struct SoftmaxState {
  float* reference;  // [64] exponents are relative to these; a largest score so far, or nearly
  float* sum;        // [64] of the exponentials
  float* largest;    // [64] of the scores at hand
  float* rescale;    // [64] what earlier sums must be times when the reference grows
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
    masked(all.end, all.hidden);
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
    masked(all.end, all.hidden);
    for (int64_t k = all.hidden; k < keys; k += 2) {
      _mm512_storeu_si512(words + k / 2 * kPanel + v, _mm512_setzero_si512());
    }
    const __m512 before = _mm512_loadu_ps(state.sum + v);
    _mm512_storeu_ps(state.sum + v, _mm512_add_ps(before, _mm512_add_ps(even, odd)));
  }
}

// The output of one panel of queries, of which some products may still be to do.
template <typename Products>
struct PanelOutput {
  float* sums;  // as Products has them
  const Sizes& s;
  const uint32_t* values;  // packed, from key 0 on
  uint32_t* words;         // probabilities not yet multiplied, from key `pending_from` on
  int64_t pending_from = 0, pending_to = 0;
  bool empty = true;

  uint32_t* words_at(int64_t key) { return words + (key - pending_from) / 2 * kPanel; }
  void multiply() {
    if (pending_from == pending_to) return;
    Products::add_key_rows(s, words, values, s.queries, pending_from, pending_to - pending_from,
                           sums, !empty);
    pending_from = pending_to;
    empty = false;
  }
  void rescale(const float* factors) {
    if (!empty) Products::rescale(s, sums, factors);
  }
};

// One panel of queries on its way through the keys. Scores are made Products::kScoreBlocks - 1
// blocks of keys before they are read.
template <typename Products, bool kDocuments>
class PanelForward {
 public:
  // Scratch of a panel, and what panels share that take turns.
  static int64_t own_floats(const Sizes& s) { return kPanel * (s.width / 2 + s.columns + 4); }
  static constexpr int64_t kSharedFloats =
      kPanel * (Products::kScoreBlocks * kScoreKeys + kForwardKeys / 2);

  PanelForward(const ForwardJob& job, const Sizes& s, const SequenceDocuments& documents, int64_t b,
               int64_t head, int64_t q0, const float* packed, float* own, float* shared)
      : s_(s),
        documents_(documents),
        q0_(q0),
        begin_(documents.first_key(q0) / Products::kKeys * Products::kKeys),
        end_(std::min(q0 + kPanel, s.keys)),
        keys_(reinterpret_cast<const uint32_t*>(packed)),
        query_(reinterpret_cast<uint32_t*>(own)),
        scores_(shared),
        output_{own + kPanel * s.width / 2, s, keys_ + s.queries * s.width / 2,
                reinterpret_cast<uint32_t*>(shared + Products::kScoreBlocks * kScoreBlock)} {
    float* states = output_.sums + kPanel * s.columns;
    state_ = {states, states + kPanel, states + 2 * kPanel, states + 3 * kPanel};
    pack_transposed(job.query(b, q0, head), s.stride, std::min(kPanel, s.T - q0), s.C, s.width,
                    query_);
    std::fill_n(state_.reference, kPanel, -kInfinity);
    std::fill_n(state_.sum, kPanel, 0.0f);
  }

  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }

  // Those of kForwardKeys keys, from `first` on, that any of its queries sees.
  void advance(int64_t first) {
    const int64_t from = std::max(first, begin_), to = std::min(first + kForwardKeys, end_);
    if (from >= to) return;
    output_.pending_from = output_.pending_to = from;
    constexpr int64_t kAhead = (Products::kScoreBlocks - 1) * kScoreKeys;
    if (kAhead > 0) make_scores(from, to);
    for (int64_t k0 = from; k0 < to; k0 += kScoreKeys) {
      const int64_t count = std::min(kScoreKeys, to - k0);
      if (k0 + kAhead < to) make_scores(k0 + kAhead, to);
      const float* scores = scores_of(k0);
      if (find_largest<kDocuments>(s_, documents_, q0_, k0, count, scores, state_)) {
        output_.multiply();
        grow_references(state_);
        output_.rescale(state_.rescale);
      }
      exponentiate<kDocuments>(s_, documents_, q0_, k0, count, scores, state_,
                               output_.words_at(k0));
      output_.pending_to = k0 + count;
    }
    output_.multiply();
  }

  void store(const ForwardJob& job, int64_t b, int64_t head) const {
    const int64_t rows = std::min(kPanel, s_.T - q0_);
    float* lse = job.query_lse(b, head, q0_);
    for (int64_t q = 0; q < rows; ++q) {
      lse[q] = state_.reference[q] + std::log2(state_.sum[q]);
      state_.sum[q] = 1.0f / state_.sum[q];
    }
    Products::store_queries(s_, output_.sums, rows, state_.sum, job.output(b, q0_, head),
                            s_.H * s_.C);
  }

 private:
  static constexpr int64_t kScoreBlock = kScoreKeys * kPanel;

  float* scores_of(int64_t k0) const {
    return scores_ + k0 / kScoreKeys % Products::kScoreBlocks * kScoreBlock;
  }
  void make_scores(int64_t k0, int64_t to) const {
    Products::multiply(std::min(kScoreKeys, to - k0), kPanel, s_.words,
                       {keys_ + k0 * s_.width / 2, s_.width / 2}, query_, 0, scores_of(k0), kPanel,
                       false);
  }

  const Sizes& s_;
  const SequenceDocuments& documents_;
  int64_t q0_, begin_, end_;
  const uint32_t* keys_;
  uint32_t* query_;  // [width / 2][64]
  float* scores_;    // [kScoreBlocks][kScoreKeys][64]
  PanelOutput<Products> output_;
  SoftmaxState state_{};
};

// Panels of queries go through the keys together, kForwardKeys at a time: keys and values that have
// come from the third level of the cache serve them all.
template <typename Products, bool kDocuments>
void forward_block(const ForwardJob& job, int64_t b, int64_t head, int64_t block,
                   const float* packed, float* scratch) {
  using Panel = PanelForward<Products, kDocuments>;
  const Sizes s(job.shape, Products::kKeys);
  const SequenceDocuments documents(job.document_starts, job.shape, b);
  [[maybe_unused]] const typename Products::Session session;
  std::array<std::optional<Panel>, Products::kQueryPanels> panels;
  const int64_t first = block * Products::kQueryPanels * kPanel;
  for (int64_t i = 0; i < Products::kQueryPanels && first + i * kPanel < s.T; ++i) {
    panels[static_cast<size_t>(i)].emplace(
        job, s, documents, b, head, first + i * kPanel, packed,
        scratch + Panel::kSharedFloats + i * Panel::own_floats(s), scratch);
  }
  int64_t end = 0;
  for (const auto& panel : panels) {
    if (panel) end = panel->end();
  }
  for (int64_t key = panels[0]->begin() / kForwardKeys * kForwardKeys; key < end;
       key += kForwardKeys) {
    for (auto& panel : panels) {
      if (panel) panel->advance(key);
    }
  }
  for (const auto& panel : panels) {
    if (panel) panel->store(job, b, head);
  }
}

// Packed group: K [queries][width] bf16, then V's rows as Products has them.
template <typename Products>
int64_t packed_floats(const AttentionShape& shape) {
  const Sizes s(shape, Products::kKeys);
  return s.queries * s.width / 2 + Products::key_rows_words(s, s.queries);
}

template <typename Products>
int64_t forward_floats(const AttentionShape& shape) {
  const Sizes s(shape, Products::kKeys);
  using Panel = PanelForward<Products, false>;
  return Panel::kSharedFloats + Products::kQueryPanels * Panel::own_floats(s);
}

template <typename Products>
void pack(const ForwardJob& job, int64_t b, int64_t kv_head, int64_t block, float* packed) {
  const Sizes s(job.shape, Products::kKeys);
  auto* values = reinterpret_cast<uint32_t*>(packed + s.queries * s.width / 2);
  const int64_t begin = block * Products::kQueryPanels * kPanel;
  const int64_t end = std::min(begin + Products::kQueryPanels * kPanel, s.T);
  for (int64_t first = begin; first < end; first += kPanel) {
    const int64_t rows = std::min(kPanel, s.T - first);
    pack_rows(job.key(b, first, kv_head), job.position_stride, rows, s.C, kPanel, s.width,
              reinterpret_cast<bf16*>(packed) + first * s.width);
    Products::pack_key_rows(s, {job.value(b, first, kv_head), job.position_stride, rows}, first,
                            kPanel, s.queries, values);
  }
}

template <typename Products>
void forward_task(const ForwardJob& job, int64_t b, int64_t head, int64_t block,
                  const float* packed, float* scratch) {
  const auto forward = job.document_starts == nullptr ? forward_block<Products, false>
                                                      : forward_block<Products, true>;
  forward(job, b, head, block, packed, scratch);
}

}  // namespace
}  // namespace borealis::attention_bf16
BOREALIS_END_AVX512_BF16
