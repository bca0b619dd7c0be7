#include "base/check.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/attention_tasks.h"

#if defined(__x86_64__)
#include "kernels/cpu/amx_tile-inl.h"
#include "kernels/cpu/attention_bf16_backward-inl.h"
#include "kernels/cpu/attention_bf16_forward-inl.h"

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::attention_bf16 {
namespace {

// A tile of A is read along its rows, which the words of probabilities are not. So where they are
// summed over keys they are B, and the rows A, transposed: in tiles of sixteen columns by sixteen
// pairs of keys, [keys / 32][columns][16]. Sums are [columns][64 queries].
struct TileProducts {
  // Rows that tiles have just been stored to are read at half the rate: hence two blocks of scores.
  static constexpr int64_t kKeys = kPanel, kQueryPanels = 3, kScoreBlocks = 2;
  static constexpr int64_t kBackwardKeys = 256, kBackwardQueries = 256;
  static constexpr int64_t kTileKeys = 32;
  using Session = amx_tile::TileSession;

  static void multiply(int64_t rows, int64_t cols, int64_t pairs, const RowsOfWords& a,
                       const uint32_t* b, int64_t panel_pairs, float* c, int64_t ldc,
                       bool accumulate) {
    amx_tile::tile_product(rows, cols, round_up(pairs, kLanes), {a.words, a.row_words, kLanes}, b,
                           panel_pairs, c, ldc, accumulate);
  }
  static int64_t key_rows_words(const Sizes& s, int64_t keys) { return keys / 2 * s.columns; }
  static void pack_key_rows(const Sizes& s, const SourceRows& rows, int64_t first, int64_t count,
                            int64_t /*keys*/, uint32_t* words) {
    for (int64_t key = 0; key < count; key += kTileKeys) {
      uint32_t* tile = words + (first + key) / 2 * s.columns;
      for (int64_t c = 0; c < s.columns; c += 2 * kLanes) {
        const auto row = [&](int64_t r) {
          return key + r < rows.count ? load_row(rows.data + (key + r) * rows.ld, c, s.C)
                                      : _mm512_setzero_si512();
        };
        uint32_t* low = tile + c * kLanes;
        const bool has_high = c + kLanes < s.columns;
        transpose_into_tiles(row, low, has_high ? low + kLanes * kLanes : nullptr);
      }
    }
  }
  static void add_key_rows(const Sizes& s, const uint32_t* weights, const uint32_t* words,
                           int64_t /*keys*/, int64_t first, int64_t count, float* sums,
                           bool accumulate) {
    amx_tile::tile_product(s.columns, kPanel, count / 2,
                           {words + first / 2 * s.columns, kLanes, s.columns * kLanes}, weights, 0,
                           sums, kPanel, accumulate);
  }
  static void rescale(const Sizes& s, float* sums, const float* factors) {
    for (int64_t v = 0; v < kPanel; v += kLanes) {
      const __m512 factor = _mm512_loadu_ps(factors + v);
      for (int64_t c = 0; c < s.columns; ++c) {
        float* row = sums + c * kPanel + v;
        _mm512_storeu_ps(row, _mm512_mul_ps(_mm512_loadu_ps(row), factor));
      }
    }
  }
  static void store_queries(const Sizes& s, const float* sums, int64_t rows, const float* factors,
                            bf16* dst, int64_t ld) {
    for (int64_t q = 0; q < rows; q += kLanes) {
      const __m512 factor = _mm512_loadu_ps(factors + q);
      for (int64_t c = 0; c < s.C; c += kLanes) {
        __m512i tile[16];
        for (int64_t i = 0; i < kLanes; ++i) {
          const __m512 row = _mm512_loadu_ps(sums + (c + i) * kPanel + q);
          tile[i] = _mm512_castps_si512(_mm512_mul_ps(row, factor));
        }
        transpose_words(tile);
        const auto mask = static_cast<__mmask16>((1u << std::min(kLanes, s.C - c)) - 1);
        for (int64_t i = 0; i < std::min(kLanes, rows - q); ++i) {
          const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_castsi512_ps(tile[i]));
          _mm256_mask_storeu_epi16(dst + (q + i) * ld + c, mask, (__m256i)rounded);
        }
      }
    }
  }
};

}  // namespace
}  // namespace borealis::attention_bf16
BOREALIS_END_AVX512_BF16

namespace borealis {

const AttentionTasks<bf16>& amx_attention_tasks() {
  using namespace attention_bf16;
  static const AttentionTasks<bf16> tasks{TileProducts::kQueryPanels * bf16_tile::kPanel,
                                          TileProducts::kBackwardKeys,
                                          kPartQueries,
                                          packed_floats<TileProducts>,
                                          forward_floats<TileProducts>,
                                          backward_floats<TileProducts>,
                                          pack<TileProducts>,
                                          forward_task<TileProducts>,
                                          backward_task<TileProducts>};
  return tasks;
}

}  // namespace borealis
#else
namespace borealis {

const AttentionTasks<bf16>& amx_attention_tasks() {
  check_failed("amx_products_supported()", __FILE__, __LINE__);
}

}  // namespace borealis
#endif
