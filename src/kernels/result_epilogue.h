// What is done to the result of a product while it is in the cache.
#pragma once

#include <cstdint>
#include <functional>

namespace borealis {

// Elements [row, row + rows) x [column, column + columns) of the result.
struct ResultBlock {
  int64_t row = 0, rows = 0, column = 0, columns = 0;
};

struct ResultEpilogue {
  int64_t column_unit = 1;  // blocks begin at multiples of it, and end there or with the row
  // Called once for each block when its elements are final, by the thread that made them; at the
  // same time for other blocks. Together they are the whole result.
  std::function<void(const ResultBlock&)> apply;
};

}  // namespace borealis
