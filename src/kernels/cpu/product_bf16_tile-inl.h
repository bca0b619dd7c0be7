// Products of bf16 around one row block of a and one panel of packed b, by AVX512-BF16. Only for
// files compiled for that, as bf16_tile-inl.h is.
//
// Blocks: a panel of b, [kDepth, 64] (144 KiB), lies in the second level of the cache and serves
// all tiles of kRows rows of a (216 KiB, read where it is).
#pragma once

#include "kernels/cpu/bf16_tile-inl.h"
#include "kernels/cpu/product_grid.h"

namespace borealis::bf16_product {

inline constexpr int64_t kDepth = 1152, kRows = 96, kTileRows = 6;

// The block of the depth that starts here, and the words along it.
inline int64_t depth_of(int64_t k, int64_t depth) { return std::min(kDepth, k - depth); }
inline int64_t depth_pairs(int64_t k, int64_t depth) { return (depth_of(k, depth) + 1) / 2; }

}  // namespace borealis::bf16_product

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::bf16_product {
namespace {

using bf16_tile::kLanes;
using bf16_tile::kPanel;

// Where the sums of a tile go: c (+)= sums in f32, or rounded = c + sums (c where it accumulates).
struct TileOutput {
  float* c;
  int64_t ldc;
  bf16* rounded;
  int64_t ld_rounded;
  bool accumulate;
};

// What a tile fetches for later while it multiplies, into the second level: its share of the next
// panel of b, and of each of its rows in the next block of a kLinesOfA cache lines.
struct Prefetch {
  const char* b;
  const bf16* a;
};
constexpr int64_t kChunk = 16, kLine = 64;  // pairs, bytes
constexpr int64_t kLinesOfA = 4;
constexpr int64_t kRowsToFetchPanel = kRows / kTileRows;  // tiles, each of which fetches a share
constexpr int64_t kLinesOfB = kChunk * 4 / kRowsToFetchPanel;

inline void fetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

// [kTall x kWide * 16] sums over `pairs` words.
template <int kTall, int kWide, bool kRound>
__attribute__((noinline)) void multiply_tile(const bf16* a, int64_t lda, const uint32_t* b,
                                             int64_t pairs, const Prefetch& next,
                                             const TileOutput& out) {
  __m512 sum[kTall][kWide];
#pragma GCC unroll 8
  for (int r = 0; r < kTall; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      sum[r][v] = _mm512_setzero_ps();
      const void* at = kRound
                           ? static_cast<const void*>(out.rounded + r * out.ld_rounded + v * kLanes)
                           : out.c + r * out.ldc + v * kLanes;
      _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0);
    }
  }
  for (int64_t begin = 0; begin < pairs; begin += kChunk) {
    const int64_t chunk = begin / kChunk;
#pragma GCC unroll 4
    for (int64_t line = 0; line < kLinesOfB; ++line) {
      fetch(next.b + (kLinesOfB * chunk + line) * kLine);
    }
    fetch(next.a + chunk / kLinesOfA * lda + chunk % kLinesOfA * (kLine / 2));
    const int64_t end = std::min(begin + kChunk, pairs);
    for (int64_t p = begin; p < end; ++p) {
      __m512bh right[kWide];
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) right[v] = (__m512bh)_mm512_loadu_si512(b + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kTall; ++r) {
        const auto left = (__m512bh)_mm512_broadcastd_epi32(_mm_loadu_si32(a + r * lda + 2 * p));
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, right[v]);
      }
      b += kPanel;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kTall; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      float* at = out.c + r * out.ldc + v * kLanes;
      const __m512 all = out.accumulate ? _mm512_add_ps(_mm512_loadu_ps(at), sum[r][v]) : sum[r][v];
      if constexpr (kRound) {
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(out.rounded + r * out.ld_rounded + v * kLanes),
            (__m256i)_mm512_cvtneps_pbh(all));
      } else {
        _mm512_storeu_ps(at, all);
      }
    }
  }
}

// A row block of a times one panel of b.
template <int kWide, bool kRound>
void multiply_panel(const bf16* a, int64_t lda, int64_t rows, const uint32_t* panel, int64_t pairs,
                    Prefetch next, TileOutput out) {
  while (rows > 0) {
    const auto tile = [&]<int kTall>() {
      multiply_tile<kTall, kWide, kRound>(a, lda, panel, pairs, next, out);
      a += kTall * lda;
      next.a += kTall * lda;
      next.b += pairs / kChunk * kLinesOfB * kLine;
      out.c += kTall * out.ldc;
      out.rounded += kTall * out.ld_rounded;
      rows -= kTall;
    };
    if (rows >= kTileRows) {
      tile.template operator()<kTileRows>();
    } else if (rows >= 2) {
      tile.template operator()<2>();
    } else {
      tile.template operator()<1>();
    }
  }
}

// The same for a panel of 1 to 4 vectors.
template <bool kRound>
void multiply_panel(int64_t vectors, const bf16* a, int64_t lda, int64_t rows,
                    const uint32_t* panel, int64_t pairs, const Prefetch& next,
                    const TileOutput& out) {
  switch (vectors) {
    case 4:
      return multiply_panel<4, kRound>(a, lda, rows, panel, pairs, next, out);
    case 3:
      return multiply_panel<3, kRound>(a, lda, rows, panel, pairs, next, out);
    case 2:
      return multiply_panel<2, kRound>(a, lda, rows, panel, pairs, next, out);
    default:
      return multiply_panel<1, kRound>(a, lda, rows, panel, pairs, next, out);
  }
}

// A row block of a for the products with several panels of b, read where it is.
class DotRows {
 public:
  struct Session {};
  static constexpr int64_t kRowUnit = kTileRows;  // what rows are shared out by
  static constexpr int64_t kFloats = 0;           // of memory that it needs
  static constexpr int64_t kBlockRows = kRows;    // of a block
  static constexpr bool kPacksAhead = false;      // b for many blocks, as the next level holds it
  static constexpr bool kPacksRows = false;       // load() copies a
  static constexpr int64_t kPanelsAtOnce = 1;     // that are multiplied with a block of the depth
  static constexpr bool kTransposes = false;      // has load_transposed

  explicit DotRows(float*) {}
  void load(const bf16* a, int64_t lda, int64_t rows, int64_t deep) {
    a_ = a;
    lda_ = lda;
    rows_ = rows;
    pairs_ = deep / 2;
  }
  void fetch_beside_products(const bf16*, int64_t, int64_t, int64_t, int64_t) {}
  template <bool kRound>
  void multiply(int64_t columns, const uint32_t* panel, const Prefetch& next,
                const TileOutput& out) const {
    multiply_panel<kRound>(columns / kLanes, a_, lda_, rows_, panel, pairs_, next, out);
  }
  // Where sixteen words of panels with so many pairs lie.
  static uint32_t* place(uint32_t* panels, int64_t panel_pairs, int64_t pair, int64_t column) {
    return panels + panel_pairs * (column / kPanel * kPanel) + pair * kPanel + column % kPanel;
  }

 private:
  const bf16* a_ = nullptr;
  int64_t lda_ = 0, rows_ = 0, pairs_ = 0;
};

}  // namespace
}  // namespace borealis::bf16_product
BOREALIS_END_AVX512_BF16
