// How a product is shared out among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/rounding.h"

namespace borealis::bf16_product {

// What one thread computes of m x n; the last threads may have nothing.
struct Part {
  int64_t first_row, rows, first_column, columns;
};

// Rows or columns, which are shared out by whole units; the last may be short.
struct Divided {
  int64_t size, unit;
};

// Shares a result out as a grid of threads, the one in which the largest part costs least;
// cost(rows, columns) is that of a part. Where their number has no divisors that fit, some stay
// idle: of 47 threads, a grid of 15 x 3 is better than one of 47 x 1.
class Grid {
 public:
  Grid(const Divided& rows, const Divided& columns, int threads)
      : Grid(rows, columns, threads, [](int64_t r, int64_t c) { return r * c; }) {}
  template <typename Cost>
  Grid(const Divided& rows, const Divided& columns, int threads, const Cost& cost_of)
      : rows_(rows), columns_(columns) {
    int64_t best = std::numeric_limits<int64_t>::max();
    for (int down = threads; down >= 1; --down) {
      const int across = threads / down;
      const int64_t cost = cost_of(share(rows, down), share(columns, across));
      if (cost >= best) continue;
      best = cost;
      down_ = down;
      across_ = across;
    }
  }
  Part part(int thread) const {
    if (thread >= down_ * across_) return {};
    const auto [row, rows] = cut(rows_, down_, thread / across_);
    const auto [column, columns] = cut(columns_, across_, thread % across_);
    return {row, rows, column, columns};
  }

 private:
  struct Range {
    int64_t first, count;
  };
  static int64_t units(const Divided& d) { return divide_up(d.size, d.unit); }
  static Range cut(const Divided& d, int64_t parts, int64_t i) {
    const int64_t begin = std::min(units(d) * i / parts * d.unit, d.size);
    return {begin, std::min(units(d) * (i + 1) / parts * d.unit, d.size) - begin};
  }
  static int64_t share(const Divided& d, int64_t parts) {
    return divide_up(units(d), parts) * d.unit;
  }

  Divided rows_, columns_;
  int down_ = 1, across_ = 1;
};

}  // namespace borealis::bf16_product
