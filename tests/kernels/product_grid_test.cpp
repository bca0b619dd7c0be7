#include "kernels/cpu/product_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

namespace borealis::bf16_product {
namespace {

struct Result {
  Divided rows, columns;
};
// Of M: QKV, the down projection, a block of the vocabulary; then odd ones.
const Result kM[] = {{{2048, 32}, {1536, 64}}, {{2048, 32}, {1024, 64}}, {{1152, 96}, {1024, 64}}};
const Result kOdd[] = {{{1, 32}, {48, 64}}, {{70, 6}, {1000, 64}}, {{33, 32}, {65, 64}}};

template <typename Visit>
void for_each_part(const Grid& grid, int threads, const Visit& visit) {
  for (int thread = 0; thread < threads; ++thread) visit(grid.part(thread));
}

TEST(ProductGrid, CoversAResultOnce) {
  for (const auto& results : {std::span(kM), std::span(kOdd)}) {
    for (const Result& result : results) {
      const Divided rows = result.rows, columns = result.columns;
      for (const int threads : {1, 2, 3, 16, 47, 127}) {
        std::vector<int> times(static_cast<size_t>(rows.size * columns.size), 0);
        for_each_part(Grid(rows, columns, threads), threads, [&](const Part& part) {
          EXPECT_EQ(part.first_row % rows.unit, 0);
          EXPECT_EQ(part.first_column % columns.unit, 0);
          for (int64_t row = part.first_row; row < part.first_row + part.rows; ++row) {
            for (int64_t i = 0; i < part.columns; ++i) {
              ++times[static_cast<size_t>(row * columns.size + part.first_column + i)];
            }
          }
        });
        EXPECT_EQ(std::ranges::count(times, 1), std::ssize(times)) << threads << " threads";
      }
    }
  }
}

// Also for numbers of threads that cannot be a grid of two sides.
TEST(ProductGrid, LeavesNoThreadWithMuchMoreThanItsShare) {
  for (const Result& result : kM) {
    const Divided rows = result.rows, columns = result.columns;
    for (int threads = 1; threads <= 128; ++threads) {
      int64_t largest = 0;
      for_each_part(Grid(rows, columns, threads), threads, [&](const Part& part) {
        largest = std::max(largest, part.rows * part.columns);
      });
      const double share = static_cast<double>(rows.size * columns.size) / threads;
      EXPECT_LT(static_cast<double>(largest), 1.5 * share)
          << threads << " threads of " << rows.size << " x " << columns.size;
    }
  }
}

// What a thread packs counts, too, where a caller says so.
TEST(ProductGrid, TakesTheGridThatCostsLeast) {
  const Divided side{1024, 64};
  const Grid tall(side, side, 4, [](int64_t, int64_t columns) { return columns; });
  EXPECT_EQ(tall.part(0).columns, 256);
  EXPECT_EQ(tall.part(0).rows, 1024);
  const Grid wide(side, side, 4, [](int64_t rows, int64_t) { return rows; });
  EXPECT_EQ(wide.part(0).columns, 1024);
  EXPECT_EQ(wide.part(0).rows, 256);
}

}  // namespace
}  // namespace borealis::bf16_product
