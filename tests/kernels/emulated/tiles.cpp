#include "kernels/emulated/tiles.h"

#include <immintrin.h>

#include <array>

namespace borealis::emulated {
namespace {

constexpr int kTiles = 8, kMostRows = 16, kMostBytes = 64;

// As LDTILECFG reads it.
struct Config {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(Config) == 64);

struct Tile {
  std::array<std::array<uint32_t, kMostBytes / 4>, kMostRows> words;
};

thread_local Config config{};  // of palette 0: no tiles
thread_local std::array<Tile, kTiles> tiles;

Tile& tile_of(int tile) {
  CHECK(config.palette == 1, "a tile is used outside a session");
  CHECK(tile >= 0 && tile < kTiles);
  return tiles[static_cast<size_t>(tile)];
}
int rows_of(int tile) { return config.rows[tile]; }
int words_of(int tile) { return config.row_bytes[tile] / 4; }

}  // namespace

void tile_loadconfig(const void* from) {
  std::memcpy(&config, from, sizeof(config));
  CHECK(config.palette == 1 && config.start_row == 0);
  for (int i = 0; i < 16; ++i) {
    CHECK(config.rows[i] <= kMostRows && config.row_bytes[i] <= kMostBytes);
    CHECK(config.row_bytes[i] % 4 == 0 && (i < kTiles || config.rows[i] == 0));
  }
  tiles = {};
}

void tile_release() {
  CHECK(config.palette == 1, "a session ends that has not begun");
  config = {};
}

void tile_zero(int tile) { tile_of(tile) = {}; }

void tile_loadd(int tile, const void* from, int64_t row_bytes) {
  Tile& to = tile_of(tile);
  to = {};
  for (int r = 0; r < rows_of(tile); ++r) {
    std::memcpy(to.words[static_cast<size_t>(r)].data(),
                static_cast<const char*>(from) + r * row_bytes, config.row_bytes[tile]);
  }
}

void tile_stored(int tile, void* to, int64_t row_bytes) {
  const Tile& from = tile_of(tile);
  for (int r = 0; r < rows_of(tile); ++r) {
    std::memcpy(static_cast<char*>(to) + r * row_bytes, from.words[static_cast<size_t>(r)].data(),
                config.row_bytes[tile]);
  }
}

void tile_dpbf16ps(int sums, int a, int b) {
  const Tile &left = tile_of(a), &right = tile_of(b);
  Tile& c = tile_of(sums);
  CHECK(sums != a && sums != b && a != b);
  CHECK(rows_of(a) == rows_of(sums) && words_of(b) == words_of(sums) && words_of(a) == rows_of(b));
  // Products of low and of high halves are summed apart, and their sums added to what was there.
  for (size_t r = 0; r < static_cast<size_t>(rows_of(sums)); ++r) {
    F32 low{}, high{};
    for (size_t k = 0; k < static_cast<size_t>(words_of(a)); ++k) {
      const Words x(set1_epi32(static_cast<int32_t>(left.words[r][k])));
      const Words y(loaded<__m512i>(right.words[k].data()));
      low = flushed(low + x.low * y.low);
      high = flushed(high + x.high * y.high);
    }
    const auto before = flushed(loaded<F32>(c.words[r].data()));
    stored(c.words[r].data(), flushed(before + flushed(low + high)));
  }
}

}  // namespace borealis::emulated
