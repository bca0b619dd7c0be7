#include "base/check.h"
#include "kernels/cpu/attention_tasks.h"

#if defined(__x86_64__)
#include "kernels/cpu/attention_bf16_backward-inl.h"
#include "kernels/cpu/attention_bf16_forward-inl.h"

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::attention_bf16 {
namespace {

// Rows that are summed over keys are interleaved panels [panels / 64][keys / 2][64], sums are
// [64 queries][columns].
struct DotProducts {
  static constexpr int64_t kKeys = kLanes, kQueryPanels = 1, kScoreBlocks = 1;
  static constexpr int64_t kBackwardKeys = 128, kBackwardQueries = 256;
  struct Session {};

  static void multiply(int64_t rows, int64_t cols, int64_t pairs, const RowsOfWords& a,
                       const uint32_t* b, int64_t panel_pairs, float* c, int64_t ldc,
                       bool accumulate) {
    tile_product(rows, cols, pairs, {a.words, a.row_words, 1}, b, panel_pairs, c, ldc, accumulate);
  }
  static int64_t key_rows_words(const Sizes& s, int64_t keys) { return keys / 2 * s.panels; }
  static void pack_key_rows(const Sizes& s, const SourceRows& rows, int64_t first, int64_t count,
                            int64_t keys, uint32_t* words) {
    pack_interleaved(rows.data, rows.ld, rows.count, s.C, count, s.width, keys / 2,
                     words + first / 2 * kPanel);
  }
  static void add_key_rows(const Sizes& s, const uint32_t* weights, const uint32_t* words,
                           int64_t keys, int64_t first, int64_t count, float* sums,
                           bool accumulate) {
    tile_product(kPanel, s.columns, count / 2, {weights, 1, kPanel}, words + first / 2 * kPanel,
                 keys / 2, sums, s.columns, accumulate);
  }
  static void rescale(const Sizes& s, float* sums, const float* factors) {
    for (int64_t q = 0; q < kPanel; ++q) {
      const __m512 factor = _mm512_set1_ps(factors[q]);
      float* row = sums + q * s.columns;
      for (int64_t c = 0; c < s.columns; c += kLanes) {
        _mm512_storeu_ps(row + c, _mm512_mul_ps(_mm512_loadu_ps(row + c), factor));
      }
    }
  }
  static void store_queries(const Sizes& s, const float* sums, int64_t rows, const float* factors,
                            bf16* dst, int64_t ld) {
    for (int64_t q = 0; q < rows; ++q) {
      store_row(sums + q * s.columns, s.C, factors[q], dst + q * ld);
    }
  }
};

}  // namespace
}  // namespace borealis::attention_bf16
BOREALIS_END_AVX512_BF16

namespace borealis {

const AttentionTasks<bf16>& avx512_attention_tasks() {
  using namespace attention_bf16;
  static const AttentionTasks<bf16> tasks{DotProducts::kQueryPanels * bf16_tile::kPanel,
                                          DotProducts::kBackwardKeys,
                                          kPartQueries,
                                          packed_floats<DotProducts>,
                                          forward_floats<DotProducts>,
                                          backward_floats<DotProducts>,
                                          pack<DotProducts>,
                                          forward_task<DotProducts>,
                                          backward_task<DotProducts>};
  return tasks;
}

}  // namespace borealis
#else
namespace borealis {

const AttentionTasks<bf16>& avx512_attention_tasks() {
  check_failed("bf16_products_supported()", __FILE__, __LINE__);
}

}  // namespace borealis
#endif
