// Products of bf16 around one row block of a and one panel of packed b, by AMX. Both are packed in
// tiles of 1 KiB: a tile load that crosses cache lines takes six times as long. Only for files that
// run where amx_products_supported().
//   a  [rows / 16][steps of 32][16 rows][16 words]
//   b  a panel of 64 columns: [2 halves][steps][2 tiles][16 pairs][16 words]
#pragma once

#include "kernels/cpu/amx_tile-inl.h"
#include "kernels/cpu/product_bf16_tile-inl.h"

// For no instruction set in particular: GCC does not inline a function for more instructions into
// one for fewer, and who packs is not of AMX.
namespace borealis::bf16_product {
namespace {

constexpr int64_t kTileWords = amx_tile::kTile * amx_tile::kTile;
constexpr int64_t kTileBlock = 2 * amx_tile::kTile;  // rows and columns of 2 x 2 tiles

struct TilePanels {
  // Where sixteen words of a pair of rows of b go, from a column on that sixteen divides.
  static uint32_t* place(uint32_t* panels, int64_t panel_pairs, int64_t pair, int64_t column) {
    const auto p = static_cast<uint64_t>(pair), c = static_cast<uint64_t>(column);
    return panels + static_cast<uint64_t>(panel_pairs) * (c / kTileBlock * kTileBlock) +
           p / 16 * 2 * kTileWords + c % kTileBlock / 16 * kTileWords + p % 16 * 16;
  }
};

}  // namespace
}  // namespace borealis::bf16_product

BOREALIS_BEGIN_AMX
namespace borealis::bf16_product {
namespace {

using amx_tile::kTile;
using amx_tile::multiply_block;
using amx_tile::Tiles;

// A row block of a, packed, for the products with several panels of b.
class TileRows : public TilePanels {
 public:
  using Session = amx_tile::TileSession;
  static constexpr int64_t kRowUnit = kTileBlock;  // what rows are shared out by
  // A block (864 KiB) fills most of the second level; panels of b pass through it from the third.
  static constexpr int64_t kBlockRows = 384;
  static constexpr bool kPacksAhead = true;
  static constexpr bool kPacksRows = true;
  static constexpr int64_t kPanelsAtOnce = 4;
  static constexpr int64_t kFloats = kBlockRows * kDepth / 2 + 2 * kTileBlock * kTileBlock;
  static constexpr bool kTransposes = true;

  explicit TileRows(float* memory)
      : tiles_(reinterpret_cast<uint32_t*>(memory)),
        sums_{memory + kBlockRows * kDepth / 2,
              memory + kBlockRows * kDepth / 2 + kTileBlock * kTileBlock} {}

  // a [rows, deep]
  __attribute__((noinline)) void load(const bf16* a, int64_t lda, int64_t rows, int64_t deep) {
    begin(rows, deep);
    for (int64_t r = 0; r < padded_rows(); ++r) {
      uint32_t* row = tiles_ + r / 16 * steps_ * kTileWords + r % 16 * 16;
      const int64_t whole = r < rows ? deep / 32 : 0;  // steps that need no mask
      for (int64_t step = 0; step < whole; ++step) {
        _mm512_storeu_si512(row + step * kTileWords, _mm512_loadu_si512(a + r * lda + 32 * step));
      }
      for (int64_t step = whole; step < steps_; ++step) {
        const __m512i words =
            r < rows ? bf16_tile::load_row(a + r * lda, 32 * step, deep) : _mm512_setzero_si512();
        _mm512_storeu_si512(row + step * kTileWords, words);
      }
    }
  }
  // a [deep, rows]
  __attribute__((noinline)) void load_transposed(const bf16* a, int64_t lda, int64_t rows,
                                                 int64_t deep) {
    begin(rows, deep);
    for (int64_t step = 0; step < steps_; ++step) {
      for (int64_t r = 0; r < padded_rows(); r += kTileBlock) {
        const auto row = [&](int64_t pair_row) {
          const int64_t at = 32 * step + pair_row;
          return at < deep ? bf16_tile::load_row(a + at * lda, r, rows) : _mm512_setzero_si512();
        };
        uint32_t* low = tiles_ + (r / 16 * steps_ + step) * kTileWords;
        bf16_tile::transpose_into_tiles(row, low, low + steps_ * kTileWords);
      }
    }
  }

  template <bool kRound>
  __attribute__((noinline)) void multiply(int64_t columns, const uint32_t* panel, const Prefetch&,
                                          const TileOutput& out) {
    for (int64_t r = 0; r < rows_; r += kTileBlock) {
      const int64_t rows = std::min(kTileBlock, rows_ - r);
      const Tiles a{tiles_ + r / 16 * steps_ * kTileWords, kTile, steps_ * kTileWords, kTileWords};
      for (int64_t col = 0; col < columns; col += kTileBlock) {
        const int64_t width = std::min(kTileBlock, columns - col);
        const Tiles b{panel + col / kTileBlock * steps_ * 2 * kTileWords, kTile, kTileWords,
                      2 * kTileWords};
        float* c = out.c + r * out.ldc + col;
        if (!kRound && rows % 16 == 0 && width % 16 == 0) {
          multiply_block(rows, width, a, b, steps_, out.accumulate ? c : nullptr, c, out.ldc,
                         [] {});
          continue;
        }
        // The sums before these are rounded while these are made: those just stored would be late.
        float* sums = sums_[blocks_++ % 2];
        multiply_block(rows, width, a, b, steps_, nullptr, sums, kTileBlock,
                       [this] { finish<kRound>(); });
        bf16* rounded = kRound ? out.rounded + r * out.ld_rounded + col : nullptr;
        unfinished_ = {sums, rows, width, c, out.ldc, out.accumulate, rounded, out.ld_rounded};
      }
    }
    finish<kRound>();
  }

 private:
  void begin(int64_t rows, int64_t deep) {
    rows_ = rows;
    steps_ = divide_up(deep, 32);
  }
  int64_t padded_rows() const { return round_up(rows_, kTileBlock); }

  // c (+)= sums, or rounded = c + sums, of the block before.
  template <bool kRound>
  void finish() {
    if (kRound && unfinished_.columns == kTileBlock) {
      round_whole_rows();
    } else {
      finish_by_masks<kRound>();
    }
    unfinished_.rows = 0;
  }

  void round_whole_rows() const {
    const Unfinished& u = unfinished_;
    for (int64_t r = 0; r < u.rows; ++r) {
      __m512 low = _mm512_loadu_ps(u.sums + r * kTileBlock);
      __m512 high = _mm512_loadu_ps(u.sums + r * kTileBlock + kLanes);
      if (u.accumulate) {
        low = _mm512_add_ps(_mm512_loadu_ps(u.c + r * u.ldc), low);
        high = _mm512_add_ps(_mm512_loadu_ps(u.c + r * u.ldc + kLanes), high);
      }
      _mm512_storeu_si512(u.rounded + r * u.ld_rounded, bf16_tile::round_side_by_side(low, high));
    }
  }

  template <bool kRound>
  void finish_by_masks() const {
    const auto [sums, rows, columns, c, ldc, accumulate, rounded, ld_rounded] = unfinished_;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t v = 0; v < columns; v += kLanes) {
        const auto mask =
            static_cast<__mmask16>((1u << std::min<int64_t>(kLanes, columns - v)) - 1);
        __m512 all = _mm512_loadu_ps(sums + r * kTileBlock + v);
        float* at = c + r * ldc + v;
        if (accumulate) all = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, at), all);
        if constexpr (kRound) {
          _mm256_mask_storeu_epi16(rounded + r * ld_rounded + v, mask,
                                   (__m256i)_mm512_cvtneps_pbh(all));
        } else {
          _mm512_mask_storeu_ps(at, mask, all);
        }
      }
    }
  }

  struct Unfinished {
    const float* sums = nullptr;  // [32][32]
    int64_t rows = 0, columns = 0;
    float* c = nullptr;
    int64_t ldc = 0;
    bool accumulate = false;
    bf16* rounded = nullptr;
    int64_t ld_rounded = 0;
  };

  uint32_t* tiles_;
  float* sums_[2];  // [32][32]
  int64_t rows_ = 0, steps_ = 0;
  int64_t blocks_ = 0;
  Unfinished unfinished_;
};

}  // namespace
}  // namespace borealis::bf16_product
BOREALIS_END_AMX
