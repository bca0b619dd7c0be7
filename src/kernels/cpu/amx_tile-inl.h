// Products of small bf16 tiles by AMX: one instruction multiplies 16 rows of 32 bf16 by 32 rows of
// 16 and adds to 16 x 16 f32. Operands lie as bf16_tile-inl.h has them, but A's words are
// neighbours along the direction of the sum: a tile of A is 16 rows of 16 words, one of B 16 pairs
// of 16 words. Only for files that run where amx_products_supported().
#pragma once

#include "kernels/cpu/bf16_tile-inl.h"

// clang-format off
#if defined(BOREALIS_BEGIN_AMX)
#elif defined(__clang__)
#define BOREALIS_BEGIN_AMX \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16\"))), apply_to = function)")
#define BOREALIS_END_AMX _Pragma("clang attribute pop")
#else
#define BOREALIS_BEGIN_AMX    \
  _Pragma("GCC push_options") \
  _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,prefer-vector-width=512\")")
#define BOREALIS_END_AMX _Pragma("GCC pop_options")
#endif
// clang-format on

BOREALIS_BEGIN_AMX
namespace borealis::amx_tile {
namespace {

constexpr int64_t kTile = 16;  // rows of a tile, and words of a row

// All eight tiles have 16 rows of 64 bytes: four of sums, two of A, two of B.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// What a thread holds while it uses tiles. Others on the thread (oneDNN) configure them anew.
class TileSession {
 public:
  __attribute__((noinline)) TileSession() {
    static constexpr TileConfig kConfig;
    _tile_loadconfig(&kConfig);
  }
  __attribute__((noinline)) ~TileSession() { _tile_release(); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

// g++ 12's tile loads do not say that they read memory.
inline __attribute__((always_inline)) void memory_is_read() { asm volatile("" ::: "memory"); }

struct TilesA {
  const uint32_t* data;
  int64_t row_words;   // from a row to the next
  int64_t step_words;  // from sixteen pairs to the next
};

// c [kTall * 16, kWide * 16] (+)= a b over `steps` of 16 pairs; b's pairs are kPanel words apart.
template <int kTall, int kWide>
inline __attribute__((always_inline)) void micro_tile(const TilesA& a, const uint32_t* b,
                                                      int64_t steps, float* c, int64_t ldc,
                                                      bool accumulate) {
  constexpr int64_t kPanel = bf16_tile::kPanel;
  float* below = c + kTile * ldc;
  const int64_t c_bytes = ldc * 4, a_bytes = a.row_words * 4;
  if (accumulate) {
    _tile_loadd(0, c, c_bytes);
    if constexpr (kWide > 1) _tile_loadd(1, c + kTile, c_bytes);
    if constexpr (kTall > 1) _tile_loadd(2, below, c_bytes);
    if constexpr (kTall > 1 && kWide > 1) _tile_loadd(3, below + kTile, c_bytes);
  } else {
    _tile_zero(0);
    if constexpr (kWide > 1) _tile_zero(1);
    if constexpr (kTall > 1) _tile_zero(2);
    if constexpr (kTall > 1 && kWide > 1) _tile_zero(3);
  }
  const uint32_t* left = a.data;
  for (int64_t step = 0; step < steps; ++step) {
    _tile_loadd(6, b, kPanel * 4);
    _tile_loadd(4, left, a_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kWide > 1) {
      _tile_loadd(7, b + kTile, kPanel * 4);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTall > 1) {
      _tile_loadd(5, left + kTile * a.row_words, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kWide > 1) _tile_dpbf16ps(3, 5, 7);
    }
    left += a.step_words;
    b += kTile * kPanel;
  }
  _tile_stored(0, c, c_bytes);
  if constexpr (kWide > 1) _tile_stored(1, c + kTile, c_bytes);
  if constexpr (kTall > 1) _tile_stored(2, below, c_bytes);
  if constexpr (kTall > 1 && kWide > 1) _tile_stored(3, below + kTile, c_bytes);
}

// c [rows, cols] (+)= a b; rows and cols multiples of 16, pairs of 16. b as in
// bf16_tile::tile_product. A TileSession of this thread must be open.
[[maybe_unused]] __attribute__((noinline)) void tile_product(int64_t rows, int64_t cols,
                                                             int64_t pairs, TilesA a,
                                                             const uint32_t* b, int64_t panel_pairs,
                                                             float* c, int64_t ldc,
                                                             bool accumulate) {
  constexpr int64_t kPanel = bf16_tile::kPanel;
  const int64_t steps = pairs / kTile;
  memory_is_read();
  for (int64_t col = 0; col < cols; col += 2 * kTile) {
    const uint32_t* right = b + panel_pairs * (col / kPanel * kPanel) + col % kPanel;
    const bool wide = cols - col > kTile;
    for (int64_t row = 0; row < rows; row += 2 * kTile) {
      const bool tall = rows - row > kTile;
      const TilesA left{a.data + row * a.row_words, a.row_words, a.step_words};
      float* at = c + row * ldc + col;
      if (tall && wide) {
        micro_tile<2, 2>(left, right, steps, at, ldc, accumulate);
      } else if (tall) {
        micro_tile<2, 1>(left, right, steps, at, ldc, accumulate);
      } else if (wide) {
        micro_tile<1, 2>(left, right, steps, at, ldc, accumulate);
      } else {
        micro_tile<1, 1>(left, right, steps, at, ldc, accumulate);
      }
    }
  }
}

}  // namespace
}  // namespace borealis::amx_tile
BOREALIS_END_AMX
