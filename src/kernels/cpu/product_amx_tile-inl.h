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

  // What load is called with next (load_transposed: the rows and columns of that a), behind
  // products with so many columns: they fetch it into the second level.
  void fetch_beside_products(const bf16* a, int64_t lda, int64_t rows, int64_t columns,
                             int64_t product_columns) {
    const int64_t blocks = divide_up(rows_, kTileBlock) * divide_up(product_columns, kTileBlock);
    next_a_ = {a, lda, rows, columns};
    next_a_lines_ = divide_up(rows * divide_up(columns, kLine / 2), blocks * steps_);
  }

  template <bool kRound>
  __attribute__((noinline)) void multiply(int64_t columns, const uint32_t* panel,
                                          const Prefetch& next, const TileOutput& out) {
    const int64_t halves = divide_up(columns, kTileBlock);
    const int64_t blocks = divide_up(rows_, kTileBlock) * halves;
    const char* next_panel = next.b;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t r = block / halves * kTileBlock, col = block % halves * kTileBlock;
      const bool ends = block + 1 == blocks;
      const int64_t next_r = ends ? 0 : (block + 1) / halves * kTileBlock;
      const int64_t next_col = ends ? kPanel : (block + 1) % halves * kTileBlock;
      const Tiles a{row_tiles(r), kTile, steps_ * kTileWords, kTileWords, row_tiles(next_r)};
      const Tiles b{half_panel(panel, col), kTile, kTileWords, 2 * kTileWords,
                    half_panel(panel, next_col)};
      const ResultRows next_result = result_rows<kRound>(out, next_r, next_col);
      const auto fetch = [&](int64_t step) __attribute__((always_inline)) {
        next_result.fetch(step, steps_);
        for (int64_t line = 0; line < divide_up(kPanel, blocks); ++line, next_panel += kLine) {
          bf16_product::fetch(next_panel);
        }
        for (int64_t line = 0; line < next_a_lines_; ++line) next_a_.fetch_line();
      };
      const int64_t rows = std::min(kTileBlock, rows_ - r);
      const int64_t width = std::min(kTileBlock, columns - col);
      float* c = out.c + r * out.ldc + col;
      if (!kRound && rows % 16 == 0 && width % 16 == 0) {
        multiply_block(rows, width, a, b, steps_, out.accumulate ? c : nullptr, c, out.ldc, fetch,
                       [] {});
        continue;
      }
      // The sums before these are rounded while these are made: those just stored would be late.
      float* sums = sums_[blocks_++ % 2];
      multiply_block(rows, width, a, b, steps_, nullptr, sums, kTileBlock, fetch,
                     [this] { finish<kRound>(); });
      bf16* rounded = kRound ? out.rounded + r * out.ld_rounded + col : nullptr;
      unfinished_ = {sums, rows, width, c, out.ldc, out.accumulate, rounded, out.ld_rounded};
    }
    finish<kRound>();
  }

 private:
  void begin(int64_t rows, int64_t deep) {
    rows_ = rows;
    steps_ = divide_up(deep, 32);
  }
  int64_t padded_rows() const { return round_up(rows_, kTileBlock); }
  const uint32_t* row_tiles(int64_t row) const { return tiles_ + row / 16 * steps_ * kTileWords; }
  const uint32_t* half_panel(const uint32_t* panel, int64_t column) const {
    return panel + column / kTileBlock * steps_ * 2 * kTileWords;
  }

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

  // A matrix, of which a line of the cache is fetched at a time.
  struct RowsAhead {
    const bf16* data = nullptr;
    int64_t ld = 0, rows = 0, columns = 0;
    int64_t row = 0, column = 0;
    void fetch_line() {
      if (row == rows) return;
      bf16_product::fetch(data + row * ld + column);
      column += kLine / 2;
      if (column < columns) return;
      column = 0;
      ++row;
    }
  };

  // A block's rows in the result, which are fetched to be written.
  struct ResultRows {
    const char* data;
    int64_t row_bytes, bytes;
    void fetch(int64_t step, int64_t steps) const {
      for (int64_t row = step; row < kTileBlock; row += steps) {
        for (int64_t byte = 0; byte < bytes; byte += kLine) {
          __builtin_prefetch(data + row * row_bytes + byte, 1, 3);
        }
      }
    }
  };
  template <bool kRound>
  static ResultRows result_rows(const TileOutput& out, int64_t row, int64_t column) {
    if (kRound) {
      return {reinterpret_cast<const char*>(out.rounded + row * out.ld_rounded + column),
              out.ld_rounded * 2, kTileBlock * 2};
    }
    return {reinterpret_cast<const char*>(out.c + row * out.ldc + column), out.ldc * 4,
            kTileBlock * 4};
  }

  RowsAhead next_a_;
  int64_t next_a_lines_ = 0;  // with each step
  uint32_t* tiles_;
  float* sums_[2];  // [32][32]
  int64_t rows_ = 0, steps_ = 0;
  int64_t blocks_ = 0;
  Unfinished unfinished_;
};

}  // namespace
}  // namespace borealis::bf16_product
BOREALIS_END_AMX
