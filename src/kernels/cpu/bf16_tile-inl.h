// Products of small bf16 tiles by AVX512-BF16's dot products of pairs; the inner loop of attention
// on CPUs that have it. Only for files compiled for that target: see BOREALIS_BEGIN_AVX512_BF16.
//
// A "word" is two bf16 that are neighbours along the direction that a product sums over; one
// instruction multiplies 16 words by 16 others and adds both halves to 16 f32.
//   A  word [row * row_stride + pair * pair_stride], read one word at a time
//   B  panels of 64 columns (the last one may be used in part), each [pairs][64] words
#pragma once

// g++ 12 takes the deliberately undefined operands in these headers for mistakes (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/dtype.h"
#include "base/rounding.h"

// Functions between these two run only where the CPU was found to have these instructions. A
// compiler flag for the whole file would do the same to every inline function of the headers, and
// the linker might then keep that copy for all CPUs. (Tests whose <immintrin.h> emulates them
// define these as nothing.)
// clang-format off
#if defined(BOREALIS_BEGIN_AVX512_BF16)
#elif defined(__clang__)
#define BOREALIS_BEGIN_AVX512_BF16 \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16\"))), apply_to = function)")
#define BOREALIS_END_AVX512_BF16 _Pragma("clang attribute pop")
#else
#define BOREALIS_BEGIN_AVX512_BF16 \
  _Pragma("GCC push_options")      \
  _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,prefer-vector-width=512\")")
#define BOREALIS_END_AVX512_BF16 _Pragma("GCC pop_options")
#endif
// clang-format on

BOREALIS_BEGIN_AVX512_BF16
namespace borealis::bf16_tile {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kPanel = 4 * kLanes;

struct WordsA {
  const uint32_t* data;
  int64_t row_stride;
  int64_t pair_stride;
};

// c [kRows x kVectors * 16] (+)= a b. Six rows of four vectors: 24 sums, four of b and one of a in
// the 32 registers.
template <int kRows, int kVectors>
inline __attribute__((always_inline)) void micro_tile(const WordsA& a, const uint32_t* b,
                                                      int64_t pairs, float* c, int64_t ldc,
                                                      bool accumulate) {
  __m512 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = accumulate ? _mm512_loadu_ps(c + r * ldc + v * kLanes) : _mm512_setzero_ps();
    }
  }
  const uint32_t* column = a.data;
  for (int64_t p = 0; p < pairs; ++p) {
    __m512bh right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) right[v] = (__m512bh)_mm512_loadu_si512(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto left =
          (__m512bh)_mm512_broadcastd_epi32(_mm_loadu_si32(column + r * a.row_stride));
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, right[v]);
    }
    b += kPanel;
    column += a.pair_stride;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(c + r * ldc + v * kLanes, sum[r][v]);
  }
}

// Rows are a multiple of four, so what is left beside sixes are fours.
template <int kVectors>
inline void panel_product(int64_t rows, WordsA a, const uint32_t* b, int64_t pairs, float* c,
                          int64_t ldc, bool accumulate) {
  while (rows > 0) {
    const int64_t step = rows == 4 || rows == 8 ? 4 : 6;
    if (step == 6) {
      micro_tile<6, kVectors>(a, b, pairs, c, ldc, accumulate);
    } else {
      micro_tile<4, kVectors>(a, b, pairs, c, ldc, accumulate);
    }
    a.data += step * a.row_stride;
    c += step * ldc;
    rows -= step;
  }
}

// c [rows x cols] (+)= a b over `pairs` words; rows a multiple of 4, cols of 16. b points at the
// first pair of the first panel; the next panel is panel_pairs * 64 words further on.
inline void tile_product(int64_t rows, int64_t cols, int64_t pairs, const WordsA& a,
                         const uint32_t* b, int64_t panel_pairs, float* c, int64_t ldc,
                         bool accumulate) {
  for (int64_t col = 0; col < cols; col += kPanel) {
    const uint32_t* panel = b + panel_pairs * col;
    switch (std::min(kPanel, cols - col) / kLanes) {
      case 4:
        panel_product<4>(rows, a, panel, pairs, c + col, ldc, accumulate);
        break;
      case 3:
        panel_product<3>(rows, a, panel, pairs, c + col, ldc, accumulate);
        break;
      case 2:
        panel_product<2>(rows, a, panel, pairs, c + col, ldc, accumulate);
        break;
      default:
        panel_product<1>(rows, a, panel, pairs, c + col, ldc, accumulate);
    }
  }
}

// Up to 32 bf16 of a row from column `col` of `cols` on; zero beyond.
inline __m512i load_row(const bf16* row, int64_t col, int64_t cols) {
  const int64_t left = std::clamp<int64_t>(cols - col, 0, 32);
  const auto mask = static_cast<__mmask32>((uint64_t{1} << left) - 1);
  return _mm512_maskz_loadu_epi16(mask, row + col);
}

// dst [all_rows][width] = src [rows][cols], zero beyond rows and cols; width is a
// multiple of 32 bf16.
inline void pack_rows(const bf16* src, int64_t src_ld, int64_t rows, int64_t cols, int64_t all_rows,
                      int64_t width, bf16* dst) {
  for (int64_t r = 0; r < all_rows; ++r) {
    for (int64_t c = 0; c < width; c += 32) {
      const __m512i words = r < rows ? load_row(src + r * src_ld, c, cols) : _mm512_setzero_si512();
      _mm512_storeu_si512(dst + r * width + c, words);
    }
  }
}

inline void transpose_words(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  // r[4 i + j], 128-bit lane L: rows 4 i .. 4 i + 3 of column 4 L + j
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
    t[4 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    t[8 + j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
    t[12 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    r[j] = _mm512_shuffle_i32x4(t[j], t[4 + j], 0x88);
    r[4 + j] = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0x88);
    r[8 + j] = _mm512_shuffle_i32x4(t[j], t[4 + j], 0xdd);
    r[12 + j] = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0xdd);
  }
}

// B for sums over columns: `rows` rows of src, at most all_rows, become columns, and their pairs of
// columns, width / 2, pairs; zero beyond. place(pair, column): where sixteen words go from there
// on.
template <typename Place>
inline __attribute__((always_inline)) void place_transposed(const bf16* src, int64_t src_ld,
                                                            int64_t rows, int64_t cols,
                                                            int64_t all_rows, int64_t width,
                                                            const Place& place) {
  for (int64_t r0 = 0; r0 < all_rows; r0 += kLanes) {
    for (int64_t c = 0; c < width; c += 32) {
      __m512i words[16];
      for (int64_t r = 0; r < kLanes; ++r) {
        words[r] =
            r0 + r < rows ? load_row(src + (r0 + r) * src_ld, c, cols) : _mm512_setzero_si512();
      }
      transpose_words(words);
      for (int64_t j = 0; j < kLanes; ++j) _mm512_storeu_si512(place(c / 2 + j, r0), words[j]);
    }
  }
}

// dst [width / 2][64] words, one panel of 64 rows of src as its columns.
inline void pack_transposed(const bf16* src, int64_t src_ld, int64_t rows, int64_t cols,
                            int64_t width, uint32_t* dst) {
  place_transposed(src, src_ld, rows, cols, kPanel, width,
                   [dst](int64_t pair, int64_t column) { return dst + pair * kPanel + column; });
}

// Words of two rows: `low` first.
inline __m512i interleave(__m256i low, __m256i high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

// B for sums over rows: pairs of rows; zero beyond rows and cols, up to all_rows and width.
template <typename Place>
inline __attribute__((always_inline)) void place_interleaved(const bf16* src, int64_t src_ld,
                                                             int64_t rows, int64_t cols,
                                                             int64_t all_rows, int64_t width,
                                                             const Place& place) {
  const __m512i zero = _mm512_setzero_si512();
  for (int64_t r = 0; r < all_rows; r += 2) {
    for (int64_t c = 0; c < width; c += 32) {
      const __m512i even = r < rows ? load_row(src + r * src_ld, c, cols) : zero;
      const __m512i odd = r + 1 < rows ? load_row(src + (r + 1) * src_ld, c, cols) : zero;
      _mm512_storeu_si512(place(r / 2, c),
                          interleave(_mm512_castsi512_si256(even), _mm512_castsi512_si256(odd)));
      _mm512_storeu_si512(place(r / 2, c + kLanes), interleave(_mm512_extracti64x4_epi64(even, 1),
                                                               _mm512_extracti64x4_epi64(odd, 1)));
    }
  }
}

// Row pairs [pair, pair + all_rows / 2) of the panels at dst, each of panel_pairs pairs.
inline void pack_interleaved(const bf16* src, int64_t src_ld, int64_t rows, int64_t cols,
                             int64_t all_rows, int64_t width, int64_t panel_pairs, uint32_t* dst) {
  place_interleaved(
      src, src_ld, rows, cols, all_rows, width, [dst, panel_pairs](int64_t pair, int64_t column) {
        return dst + panel_pairs * (column / kPanel * kPanel) + pair * kPanel + column % kPanel;
      });
}

// Two tiles of A for AMX from sixteen pairs of rows that lie along the sum: the first sixteen
// columns of each row to `low`, the others to `high`, which may be null. row(r): 32 bf16 of row r.
template <typename Row>
inline __attribute__((always_inline)) void transpose_into_tiles(const Row& row, uint32_t* low,
                                                                uint32_t* high) {
  __m512i words[2][kLanes];
  for (int64_t pair = 0; pair < kLanes; ++pair) {
    const __m512i even = row(2 * pair), odd = row(2 * pair + 1);
    words[0][pair] = interleave(_mm512_castsi512_si256(even), _mm512_castsi512_si256(odd));
    words[1][pair] =
        interleave(_mm512_extracti64x4_epi64(even, 1), _mm512_extracti64x4_epi64(odd, 1));
  }
  uint32_t* tiles[] = {low, high};
  for (int64_t half = 0; half < 2 && tiles[half] != nullptr; ++half) {
    transpose_words(words[half]);
    for (int64_t i = 0; i < kLanes; ++i) {
      _mm512_storeu_si512(tiles[half] + i * kLanes, words[half][i]);
    }
  }
}

// 2^x for x <= 127, clamped to -126 from below, NaN for NaN: relative error 2.6e-6, a minimax
// polynomial of degree 4 on [-1/2, 1/2]. The results are rounded to bf16's 2^-8 before they are
// multiplied. Adding 1.5 * 2^23 leaves the nearest integer in the low bits, which are moved to the
// exponent: cheaper than the instructions made for it (VREDUCEPS, VSCALEFPS).
inline __m512 exp2_bf16(__m512 x) {
  const __m512 magic = _mm512_set1_ps(12582912.0f);
  x = _mm512_max_ps(_mm512_set1_ps(-126.0f), x);
  const __m512 shifted = _mm512_add_ps(x, magic);
  const __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
  __m512 p = _mm512_set1_ps(9.570102207e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.591785908e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.402474433e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931217909e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.999992847e-1f));
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

// Two f32 vectors as bf16, `low` first.
inline __m512i round_side_by_side(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// Lane i: the word of `first`'s and `second`'s lane i.
inline __m512i round_to_words(__m512 first, __m512 second) {
  alignas(64) static constexpr uint16_t kInterleave[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kInterleave),
                                  round_side_by_side(first, second));
}

// dst [cols] = row [cols] * factor
inline void store_row(const float* row, int64_t cols, float factor, bf16* dst) {
  for (int64_t c = 0; c < cols; c += kLanes) {
    const auto left = static_cast<unsigned>(std::min(kLanes, cols - c));
    const auto mask = static_cast<__mmask16>((1u << left) - 1);
    const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(row + c), _mm512_set1_ps(factor));
    _mm256_mask_storeu_epi16(dst + c, mask, (__m256i)_mm512_cvtneps_pbh(v));
  }
}

}  // namespace
}  // namespace borealis::bf16_tile
BOREALIS_END_AVX512_BF16
