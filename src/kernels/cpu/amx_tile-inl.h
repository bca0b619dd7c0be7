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
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,prfchw\"))), apply_to = function)")
#define BOREALIS_END_AMX _Pragma("clang attribute pop")
#else
#define BOREALIS_BEGIN_AMX    \
  _Pragma("GCC push_options") \
  _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,prfchw,prefer-vector-width=512\")")
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

// Up to two tiles of an operand, for step after step of 16 pairs: distances in words.
struct Tiles {
  const uint32_t* data;
  int64_t row;           // from a tile's row to the next
  int64_t second;        // to the second tile: below the first one (a), or beside it (b)
  int64_t step;          // to the next step
  const uint32_t* next;  // the first step of what is multiplied next
};

// Where a tile is read from the second level, loads alone wait for it: half of the rate with a
// thread on the core's other half.
inline __attribute__((always_inline)) void fetch_tile(const uint32_t* tile, int64_t row) {
#pragma GCC unroll 16
  for (int64_t r = 0; r < kTile; ++r) {
    _mm_prefetch(reinterpret_cast<const char*>(tile + r * row), _MM_HINT_T0);
  }
}

// to [kTall * 16][kWide * 16] = from (0 where null) + a b; both ld apart. `beside(step)` runs with
// each step, `before_stores` before the sums are stored. Each step's operands are fetched into the
// first level with the step before.
template <int kTall, int kWide, typename Beside, typename BeforeStores>
inline __attribute__((always_inline)) void multiply_tiles(Tiles a, Tiles b, int64_t steps,
                                                          const float* from, float* to, int64_t ld,
                                                          const Beside& beside,
                                                          const BeforeStores& before_stores) {
  constexpr bool kBoth = kTall > 1 && kWide > 1;
  const int64_t bytes = ld * 4, a_bytes = a.row * 4, b_bytes = b.row * 4;
  memory_is_read();
  if (from != nullptr) {
    _tile_loadd(0, from, bytes);
    if constexpr (kWide > 1) _tile_loadd(1, from + kTile, bytes);
    if constexpr (kTall > 1) _tile_loadd(2, from + kTile * ld, bytes);
    if constexpr (kBoth) _tile_loadd(3, from + kTile * ld + kTile, bytes);
  } else {
    _tile_zero(0);
    if constexpr (kWide > 1) _tile_zero(1);
    if constexpr (kTall > 1) _tile_zero(2);
    if constexpr (kBoth) _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step) {
    const bool is_last = step + 1 == steps;
    const uint32_t* ahead_a = is_last ? a.next : a.data + a.step;
    const uint32_t* ahead_b = is_last ? b.next : b.data + b.step;
    _tile_loadd(6, b.data, b_bytes);
    _tile_loadd(4, a.data, a_bytes);
    fetch_tile(ahead_a, a.row);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kWide > 1) {
      _tile_loadd(7, b.data + b.second, b_bytes);
      fetch_tile(ahead_b, b.row);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTall > 1) {
      _tile_loadd(5, a.data + a.second, a_bytes);
      fetch_tile(ahead_a + a.second, a.row);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kBoth) {
        fetch_tile(ahead_b + b.second, b.row);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
    beside(step);
    a.data += a.step;
    b.data += b.step;
  }
  before_stores();
  _tile_stored(0, to, bytes);
  if constexpr (kWide > 1) _tile_stored(1, to + kTile, bytes);
  if constexpr (kTall > 1) _tile_stored(2, to + kTile * ld, bytes);
  if constexpr (kBoth) _tile_stored(3, to + kTile * ld + kTile, bytes);
}

// The same for a block of rows and columns, 32 or fewer of each.
template <typename Beside, typename BeforeStores>
inline __attribute__((always_inline)) void multiply_block(
    int64_t rows, int64_t columns, const Tiles& a, const Tiles& b, int64_t steps, const float* from,
    float* to, int64_t ld, const Beside& beside, const BeforeStores& before_stores) {
  if (rows > kTile && columns > kTile) {
    multiply_tiles<2, 2>(a, b, steps, from, to, ld, beside, before_stores);
  } else if (rows > kTile) {
    multiply_tiles<2, 1>(a, b, steps, from, to, ld, beside, before_stores);
  } else if (columns > kTile) {
    multiply_tiles<1, 2>(a, b, steps, from, to, ld, beside, before_stores);
  } else {
    multiply_tiles<1, 1>(a, b, steps, from, to, ld, beside, before_stores);
  }
}

// Rows of a in tile_product.
struct RowsA {
  const uint32_t* data;
  int64_t row_words;   // from a row to the next
  int64_t step_words;  // from sixteen pairs to the next
};

// c [rows, cols] (+)= a b; rows and cols multiples of 16, pairs of 16. b as in
// bf16_tile::tile_product. A TileSession of this thread must be open.
[[maybe_unused]] __attribute__((noinline)) void tile_product(int64_t rows, int64_t cols,
                                                             int64_t pairs, RowsA a,
                                                             const uint32_t* b, int64_t panel_pairs,
                                                             float* c, int64_t ldc,
                                                             bool accumulate) {
  constexpr int64_t kPanel = bf16_tile::kPanel;
  for (int64_t col = 0; col < cols; col += 2 * kTile) {
    const uint32_t* panel = b + panel_pairs * (col / kPanel * kPanel) + col % kPanel;
    const int64_t next_col = col + 2 * kTile;
    Tiles right{panel, kPanel, kTile, kTile * kPanel, panel};
    for (int64_t row = 0; row < rows; row += 2 * kTile) {
      const bool ends = row + 2 * kTile >= rows;
      if (ends) right.next = b + panel_pairs * (next_col / kPanel * kPanel) + next_col % kPanel;
      const Tiles left{a.data + row * a.row_words, a.row_words, kTile * a.row_words, a.step_words,
                       a.data + (ends ? 0 : row + 2 * kTile) * a.row_words};
      float* at = c + row * ldc + col;
      multiply_block(
          rows - row, cols - col, left, right, pairs / kTile, accumulate ? at : nullptr, at, ldc,
          [](int64_t) {}, [] {});
    }
  }
}

}  // namespace
}  // namespace borealis::amx_tile
BOREALIS_END_AMX
