// The vocabulary of attention whose products are of bf16 operands (attention_bf16_forward-inl.h,
// attention_bf16_backward-inl.h). Scores are held transposed, [keys][64 queries]: queries lie in
// lanes, so the softmax needs no sums across lanes, and two rows of probabilities interleaved are
// the words that the next product reads. Probabilities and score gradients are rounded to bf16
// before they are multiplied, as in any bf16 flash attention; sums are f32.
//
// Tasks are templates on Products, which are AVX512-BF16's (attention_avx512.cpp) or AMX's
// (attention_amx.cpp):
//   kKeys                what numbers of keys in a product are multiples of
//   kQueryPanels         panels of a forward task
//   kScoreBlocks         1: scores are read as soon as they are made; 2: after the next ones are
//   kBackwardKeys        keys whose dK and dV are in the cache
//   kBackwardQueries     queries of a product that sums over them, a multiple of 64
//   Session              what a task holds while it multiplies
//   multiply(...)        c [rows][cols] (+)= a b: a of rows of words, b and the rest as
//                        bf16_tile::tile_product
// and, as each has another layout for the rows that are summed over keys (V, and K in backward) and
// for the sums [64 queries] x [C]:
//   key_rows_words(s, keys), pack_key_rows(s, rows, first, count, keys, words): `count` rows from
//                        `first` on, of all `keys`, zero behind the rows there are
//   add_key_rows(s, weights [count / 2][64], words, keys, first, count, sums, accumulate)
//   rescale(s, sums, factors [64]), store_queries(s, sums, rows, factors [64], dst, ld)
#pragma once

#include <cmath>
#include <limits>

#include "kernels/cpu/attention_tasks.h"
#include "kernels/cpu/bf16_tile-inl.h"

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::attention_bf16 {
namespace {

using namespace bf16_tile;  // NOLINT: the vocabulary of these files

using ForwardJob = AttentionForwardJob<bf16>;
using BackwardJob = AttentionBackwardJob<bf16>;

constexpr int64_t kScoreKeys = 64;      // keys whose scores are made at a time: they stay in L1
constexpr int64_t kPartQueries = 1024;  // of a backward task: packed, they stay in L2
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

  Sizes(const AttentionShape& s, int64_t key_multiple)
      : C(s.head_dim),
        T(s.seq_length),
        H(s.num_heads),
        stride(s.row_stride()),
        words((C + 1) / 2),
        width(round_up(C, 32)),
        columns(round_up(C, kLanes)),
        panels(round_up(C, kPanel)),
        keys(round_up(T, key_multiple)),
        queries(round_up(T, kPanel)),
        scale(static_cast<float>(kLog2E / std::sqrt(static_cast<double>(C)))) {}
};

// An operand that is read along its rows.
struct RowsOfWords {
  const uint32_t* words;
  int64_t row_words;
};

// Rows of keys or values as the model has them.
struct SourceRows {
  const bf16* data;
  int64_t ld;
  int64_t count;
};

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

// Keys [begin, end) of a score tile that all lanes see; those before and behind, up to `hidden`,
// need masks. No lane sees those from `hidden` on.
struct SeenByAll {
  int64_t begin, end, hidden;

  template <bool kDocuments>
  SeenByAll(const QueryLanes<kDocuments>& lanes, int64_t k0, int64_t keys)
      : begin(0),
        end(std::clamp<int64_t>(lanes.query + 1 - k0, 0, keys) / 2 * 2),
        hidden(std::clamp<int64_t>(lanes.query + kLanes - k0, 0, keys)) {
    if constexpr (kDocuments) {
      begin = std::clamp<int64_t>((lanes.first_key_of_last - k0 + 1) / 2 * 2, 0, end);
    }
  }
};

}  // namespace
}  // namespace borealis::attention_bf16
BOREALIS_END_AVX512_BF16
