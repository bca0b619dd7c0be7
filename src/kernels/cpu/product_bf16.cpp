#include "kernels/cpu/product_bf16.h"

#include <omp.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/rounding.h"
#include "kernels/cpu_isa.h"

#if defined(__x86_64__)
#include "kernels/cpu/amx.h"
#include "kernels/cpu/product_amx_tile-inl.h"
#include "kernels/cpu/product_bf16_tile-inl.h"

namespace borealis {
namespace {

using bf16_product::depth_of;
using bf16_product::depth_pairs;
using bf16_product::Grid;
using bf16_product::kDepth;
using bf16_product::kRows;
using bf16_product::Part;
using bf16_tile::kLanes;
using bf16_tile::kPanel;

// b [kDepth, kColumns] is packed at a time, for the third level of the cache. Sums of a bf16 result
// that is deeper than kDepth wait as f32 for kStagedRows rows.
constexpr int64_t kColumns = 512, kStagedRows = 1152;
constexpr int64_t kPackedFloats = kDepth * kColumns / 2, kStagedFloats = kStagedRows * kColumns;
constexpr int64_t kFewestRows = 32;
// Packing a column of b costs about as much as multiplying it with so many rows of a. With AMX,
// which multiplies faster, it is more, and a row of a has to be packed, too; any number from 16 to
// 128 cuts the products of S, M and V (bench/inputs/shapes.txt) in the same way.
constexpr int64_t kPackingRows = 16;

// Packing writes whole vectors of words.
int64_t panel_pairs(int64_t pairs) { return round_up(pairs, kLanes); }
// Columns that no block may divide: whole panels and whole units of the epilogue.
int64_t column_unit(const ResultEpilogue* epilogue) {
  return epilogue == nullptr ? kPanel : std::lcm(kPanel, epilogue->column_unit);
}

// Columns of b that are packed at a time. Where no sums wait, their memory holds more of b, if that
// shall be packed ahead.
template <typename TRows>
int64_t columns_at_a_time(const Bf16Product& product, bool waits) {
  int64_t most = kColumns;
  if (TRows::kPacksAhead && !waits) {
    const int64_t pairs = panel_pairs(depth_pairs(product.k, 0));
    most = (kPackedFloats + kStagedFloats) / pairs / kPanel * kPanel;
  }
  return most - most % column_unit(product.epilogue);
}

// What a part of so many rows and columns costs its thread, in multiplications a step of the depth.
template <typename TRows>
int64_t part_cost(const Bf16Product& product, bool waits, int64_t rows, int64_t columns) {
  if (!TRows::kPacksRows) return (rows + kPackingRows) * columns;
  const int64_t packed_b = columns * (waits ? divide_up(rows, kStagedRows) : 1);
  const int64_t packed_a = rows * divide_up(columns, columns_at_a_time<TRows>(product, waits));
  return rows * columns + kPackingRows * (packed_a + packed_b);
}

}  // namespace
}  // namespace borealis

BOREALIS_BEGIN_AVX512_BF16
namespace borealis {
namespace {

using namespace bf16_product;
using namespace bf16_tile;

// One thread's part of a product: the loops around the tiles of TRows, DotRows or TileRows.
template <typename TRows, typename TOut>
class ThreadProduct {
 public:
  ThreadProduct(const Bf16Product& product, const Part& part, TOut* c, float* workspace)
      : product_(product),
        part_(part),
        c_(c),
        packed_(reinterpret_cast<uint32_t*>(workspace)),
        staged_(workspace + kPackedFloats),
        row_block_(staged_ + kStagedFloats),
        waits_(sums_wait(product)),
        block_columns_(columns_at_a_time<TRows>(product, waits_)) {}

  // Sums of a bf16 result for the next block of the depth.
  static bool sums_wait(const Bf16Product& product) { return kRounds && product.k > kDepth; }

  void run() {
    [[maybe_unused]] const typename TRows::Session session;
    const int64_t end_column = part_.first_column + part_.columns;
    const int64_t end_row = part_.first_row + part_.rows;
    // Only sums that wait bound the rows of a block.
    const int64_t most_rows = waits_ ? kStagedRows : std::max<int64_t>(part_.rows, 1);
    for (int64_t column = part_.first_column; column < end_column; column += block_columns_) {
      const int64_t columns = std::min(block_columns_, end_column - column);
      for (int64_t row = part_.first_row; row < end_row; row += most_rows) {
        const int64_t rows = std::min(most_rows, end_row - row);
        for (int64_t depth = 0; depth < product_.k; depth += kDepth) {
          pack(depth, column, columns);
          for (int64_t r = 0; r < rows; r += block_rows()) {
            const int64_t count = std::min(block_rows(), rows - r);
            load_rows(row + r, count, depth);
            fetch_rows_behind(row, rows, r, depth, columns);
            multiply_rows(row + r, r, column, columns, depth);
            if (product_.epilogue != nullptr && depth + kDepth >= product_.k) {
              product_.epilogue->apply({row + r, count, column, columns});
            }
          }
        }
      }
    }
  }

 private:
  static constexpr bool kRounds = std::is_same_v<TOut, bf16>;

  int64_t block_rows() const { return waits_ ? kRows : TRows::kBlockRows; }
  int64_t pairs(int64_t depth) const { return depth_pairs(product_.k, depth); }

  void pack(int64_t depth, int64_t column, int64_t columns) const {
    const int64_t ld = product_.ldb, deep = depth_of(product_.k, depth);
    const int64_t stride = panel_pairs(pairs(depth));
    const auto place = [&](int64_t pair, int64_t at) {
      return TRows::place(packed_, stride, pair, at);
    };
    if (!product_.b_transposed) {
      place_interleaved(product_.b + depth * ld + column, ld, deep, columns, 2 * stride,
                        round_up(columns, 32), place);
      return;
    }
    for (int64_t at = 0; at < columns; at += kPanel) {
      place_transposed(product_.b + (column + at) * ld + depth, ld, std::min(kPanel, columns - at),
                       deep, kPanel, 2 * stride,
                       [&](int64_t pair, int64_t i) { return place(pair, at + i); });
    }
  }

  // a's rows [row, row + rows) of a block of the depth
  void load_rows(int64_t row, int64_t rows, int64_t depth) {
    const int64_t lda = product_.lda, deep = depth_of(product_.k, depth);
    if (!product_.a_transposed) {
      row_block_.load(product_.a + row * lda + depth, lda, rows, deep);
    } else if constexpr (TRows::kTransposes) {
      row_block_.load_transposed(product_.a + depth * lda + row, lda, rows, deep);
    }
  }

  // Behind row block r of rows [row, row + rows) comes the next one, or the first of the next
  // depth.
  void fetch_rows_behind(int64_t row, int64_t rows, int64_t r, int64_t depth, int64_t columns) {
    r += block_rows();
    if (r >= rows) {
      r = 0;
      depth += kDepth;
    }
    const int64_t lda = product_.lda;
    const int64_t deep = std::max<int64_t>(depth_of(product_.k, depth), 0);  // 0: nothing comes
    const int64_t count = std::min(block_rows(), rows - r);
    if (product_.a_transposed) {
      row_block_.fetch_beside_products(product_.a + depth * lda + row + r, lda, deep, count,
                                       columns);
    } else {
      row_block_.fetch_beside_products(product_.a + (row + r) * lda + depth, lda, count, deep,
                                       columns);
    }
  }

  // The rows that were loaded, from `row` on, of which row - staged_row is the first of the block
  // that waits.
  void multiply_rows(int64_t row, int64_t staged_row, int64_t column, int64_t columns,
                     int64_t depth) {
    const bool is_last = depth + kDepth >= product_.k;
    const int64_t stride = panel_pairs(pairs(depth));
    const bf16* next_a = product_.a + (row + kRows) * product_.lda + depth;
    for (int64_t at = 0; at < columns; at += kPanel) {
      const uint32_t* panel = packed_ + at * stride;
      // The rows behind these begin with the first panel again.
      const uint32_t* next_panel = at + kPanel < columns ? panel + stride * kPanel : packed_;
      const Prefetch next{reinterpret_cast<const char*>(next_panel),
                          next_a + at / kPanel * kLinesOfA * (kLine / 2)};
      const int64_t width = std::min(kPanel, columns - at);
      TileOutput out{};
      out.accumulate = product_.accumulate || depth > 0;
      if constexpr (kRounds) {
        out.c = staged_ + staged_row * kColumns + at;
        out.ldc = kColumns;
        out.rounded = c_ + row * product_.ldc + column + at;
        out.ld_rounded = product_.ldc;
        if (is_last) {
          row_block_.template multiply<true>(width, panel, next, out);
          continue;
        }
      } else {
        out.c = c_ + row * product_.ldc + column + at;
        out.ldc = product_.ldc;
      }
      row_block_.template multiply<false>(width, panel, next, out);
    }
  }

  const Bf16Product& product_;
  Part part_;
  TOut* c_;
  uint32_t* packed_;  // [panels of block_columns_][kDepth / 2][64]
  float* staged_;     // [kStagedRows][kColumns]
  TRows row_block_;
  bool waits_;
  int64_t block_columns_;
};

template <typename TRows>
void pack_panel(const Bf16Unpacked& b, int64_t k, int64_t depth, int64_t column, uint32_t* dst) {
  const int64_t stride = panel_pairs(depth_pairs(k, depth));
  const auto place = [&](int64_t pair, int64_t at) { return TRows::place(dst, stride, pair, at); };
  const int64_t rows = std::clamp<int64_t>(b.rows - depth, 0, 2 * stride);
  const int64_t columns = std::clamp<int64_t>(b.columns - column, 0, kPanel);
  if (b.transposed) {
    place_transposed(b.data + column * b.ld + depth, b.ld, columns, rows, kPanel, 2 * stride,
                     place);
  } else {
    place_interleaved(b.data + depth * b.ld + column, b.ld, rows, columns, 2 * stride, kPanel,
                      place);
  }
}

// Rows of c [m, n] = a b for a packed b.
template <typename TRows>
void multiply_packed_part(const Bf16PackedProduct& product, const Part& part, float* workspace) {
  [[maybe_unused]] const typename TRows::Session session;
  TRows row_block(workspace);
  const int64_t k = product.b.k;
  const int64_t lda = product.lda;
  for (int64_t r = 0; r < part.rows; r += TRows::kBlockRows) {
    const int64_t rows = std::min(TRows::kBlockRows, part.rows - r);
    const bf16* a = product.a + (part.first_row + r) * lda;
    float* c = product.c + (part.first_row + r) * product.ldc;
    for (int64_t depth = 0; depth < k; depth += kDepth) {
      const int64_t pairs = depth_pairs(k, depth);
      row_block.load(a + depth, lda, rows, depth_of(k, depth));
      for (int64_t at = part.first_column; at < part.first_column + part.columns; at += kPanel) {
        const uint32_t* panel = packed_panel(product.b, depth, at);
        const int64_t line = (at - part.first_column) / kPanel * kLinesOfA * 32;
        const Prefetch next{reinterpret_cast<const char*>(panel + panel_pairs(pairs) * kPanel),
                            a + depth + (line < 2 * pairs ? kRows * lda + line : 0)};
        TileOutput out{};
        out.c = c + at;
        out.ldc = product.ldc;
        out.accumulate = product.accumulate || depth > 0;
        const int64_t width = std::min(kPanel, part.first_column + part.columns - at);
        row_block.template multiply<false>(width, panel, next, out);
      }
    }
  }
}

template <typename TOut>
void multiply_part(const Bf16Product& product, const Part& part, TOut* c, float* workspace) {
  if (amx_products_supported()) {
    ThreadProduct<TileRows, TOut>(product, part, c, workspace).run();
  } else {
    ThreadProduct<DotRows, TOut>(product, part, c, workspace).run();
  }
}

}  // namespace
}  // namespace borealis
BOREALIS_END_AVX512_BF16

namespace borealis {
namespace {

int64_t row_unit() {
  return amx_products_supported() ? bf16_product::TileRows::kRowUnit
                                  : bf16_product::DotRows::kRowUnit;
}

template <typename TRows, typename TOut>
Grid grid_of(const Bf16Product& product, int threads) {
  const bool waits = ThreadProduct<TRows, TOut>::sums_wait(product);
  return {{product.m, TRows::kRowUnit},
          {product.n, column_unit(product.epilogue)},
          threads,
          [&](int64_t rows, int64_t columns) {
            return part_cost<TRows>(product, waits, rows, columns);
          }};
}

template <typename TOut>
void multiply(const Bf16Product& product, TOut* c, int threads, float* workspace) {
  CHECK(amx_products_supported() || (product.n % kLanes == 0 && product.k % 2 == 0));
  CHECK(!product.a_transposed || bf16_product_transposes());
  const int team = std::min(threads, omp_get_max_threads());
  const Grid grid = amx_products_supported() ? grid_of<bf16_product::TileRows, TOut>(product, team)
                                             : grid_of<bf16_product::DotRows, TOut>(product, team);
  const int64_t each = bf16_product_workspace_floats(1);
#pragma omp parallel for schedule(static) num_threads(team)
  for (int thread = 0; thread < team; ++thread) {
    multiply_part(product, grid.part(thread), c, workspace + thread * each);
  }
}

}  // namespace

bool bf16_products_supported() {
  return native_bf16_products() && __builtin_cpu_supports("avx512bf16") != 0;
}

bool bf16_product_transposes() { return amx_products_supported(); }

bool bf16_product_fits(int64_t m, int64_t n, int64_t k) {
  return m >= kFewestRows && (amx_products_supported() || (n % kLanes == 0 && k % 2 == 0));
}

bool bf16_product_takes(const ResultEpilogue& epilogue) {
  return column_unit(&epilogue) <= kColumns;
}

int64_t bf16_product_workspace_floats(int threads) {
  const int64_t row_block = amx_products_supported() ? bf16_product::TileRows::kFloats : 0;
  return threads * (kPackedFloats + kStagedFloats + row_block);
}

void multiply_bf16(const Bf16Product& product, float* c, int threads, float* workspace) {
  multiply(product, c, threads, workspace);
}

int64_t bf16_packed_words(int64_t k, int64_t n) {
  int64_t words = 0;
  for (int64_t depth = 0; depth < k; depth += kDepth) {
    words += panel_pairs(depth_pairs(k, depth)) * round_up(n, kPanel);
  }
  return words;
}

const uint32_t* packed_panel(const Bf16Packed& b, int64_t depth, int64_t column) {
  return b.words + depth / 2 * round_up(b.n, kPanel) +
         panel_pairs(depth_pairs(b.k, depth)) * column;
}

Bf16Packed pack_bf16(const Bf16Unpacked& b, int64_t k, int64_t n, uint32_t* words) {
  CHECK(k % 2 == 0 && k >= b.rows && n % kLanes == 0 && n >= b.columns);
  const Bf16Packed packed{k, n, words};
  const auto pack_one = amx_products_supported() ? pack_panel<bf16_product::TileRows>
                                                 : pack_panel<bf16_product::DotRows>;
#pragma omp parallel for schedule(static)
  for (int64_t column = 0; column < n; column += kPanel) {
    for (int64_t depth = 0; depth < k; depth += kDepth) {
      pack_one(b, k, depth, column, const_cast<uint32_t*>(packed_panel(packed, depth, column)));
    }
  }
  return packed;
}

void multiply_bf16(const Bf16PackedProduct& product, int threads, float* workspace) {
  const int team = std::min(threads, omp_get_max_threads());
  const Grid grid({product.m, row_unit()}, {product.b.n, kPanel}, team);
  const int64_t each = bf16_product_workspace_floats(1);
  const auto multiply_one = amx_products_supported() ? multiply_packed_part<bf16_product::TileRows>
                                                     : multiply_packed_part<bf16_product::DotRows>;
#pragma omp parallel for schedule(static) num_threads(team)
  for (int thread = 0; thread < team; ++thread) {
    multiply_one(product, grid.part(thread), workspace + thread * each);
  }
}

void multiply_bf16(const Bf16Product& product, bf16* c, int threads, float* workspace) {
  CHECK(!product.accumulate);
  multiply(product, c, threads, workspace);
}

}  // namespace borealis

#else

namespace borealis {

bool bf16_products_supported() { return false; }
bool bf16_product_transposes() { return false; }
bool bf16_product_fits(int64_t, int64_t, int64_t) { return false; }
bool bf16_product_takes(const ResultEpilogue&) { return false; }
int64_t bf16_product_workspace_floats(int) { return 0; }
int64_t bf16_packed_words(int64_t, int64_t) { return 0; }
Bf16Packed pack_bf16(const Bf16Unpacked&, int64_t, int64_t, uint32_t*) {
  check_failed("bf16_products_supported()", __FILE__, __LINE__);
}
void multiply_bf16(const Bf16PackedProduct&, int, float*) {
  check_failed("bf16_products_supported()", __FILE__, __LINE__);
}
void multiply_bf16(const Bf16Product&, float*, int, float*) {
  check_failed("bf16_products_supported()", __FILE__, __LINE__);
}
void multiply_bf16(const Bf16Product&, bf16*, int, float*) {
  check_failed("bf16_products_supported()", __FILE__, __LINE__);
}

}  // namespace borealis

#endif
