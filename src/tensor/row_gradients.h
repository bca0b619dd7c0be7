// The gradient of an embedding, of which a step touches only the rows of its tokens: those rows and
// nothing else. With 256000 entries and 8192 tokens that is a thirtieth of the dense gradient, in
// memory and in what clearing, the norm and the optimizer read.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/arena.h"

namespace borealis {

struct RowGradientsShape {
  int64_t table_rows = 0;       // of the whole parameter
  int64_t row_size = 0;         // its columns
  int64_t most_rows = 0;        // that a step can touch
  int64_t slots_at_a_time = 0;  // largest span given to slots()

  int64_t bytes() const;  // as RowGradients takes them from one arena
};

class RowGradients {
 public:
  // Its memory is the arena's, zeroed, of the host.
  RowGradients(const RowGradientsShape& shape, Arena& arena);
  // Values in an arena of a device: what the host needs to find them lies in one of its own.
  RowGradients(const RowGradientsShape& shape, Arena& host, Arena& values);

  // No row has a gradient any more.
  void clear();
  // For each id the place of its row in values(); a row that has none yet gets the next one, which
  // the caller zeroes: those from what used_rows() was before. Valid until the next call.
  // More rows than shape.most_rows are a fault of ours (CHECK).
  std::span<const int32_t> slots(std::span<const int32_t> ids);

  const RowGradientsShape& shape() const { return shape_; }
  int64_t used_rows() const { return used_; }
  std::span<const int32_t> ids() const { return {rows_, static_cast<size_t>(used_)}; }  // by place
  float* values() { return values_; }  // [used_rows, row_size], in the order of first use
  const float* values() const { return values_; }
  bool has_row(int64_t id) const { return place_of_row_[id] > 0; }
  // [table_rows] 1 + place in values(); 0: the row has none.
  std::span<const int32_t> places() const {
    return {place_of_row_, static_cast<size_t>(shape_.table_rows)};
  }
  // [row_size]; zeros for a row without a gradient. On the host.
  const float* row(int64_t id) const {
    return has_row(id) ? values_ + (place_of_row_[id] - 1) * shape_.row_size : zeros_;
  }

 private:
  RowGradientsShape shape_;
  int64_t used_ = 0;
  int32_t* place_of_row_ = nullptr;  // [table_rows] 1 + place in values; 0: has none
  int32_t* rows_ = nullptr;          // [most_rows] ids by place
  int32_t* slots_ = nullptr;         // [slots_at_a_time]
  float* zeros_ = nullptr;           // [row_size]
  float* values_ = nullptr;          // [most_rows, row_size]
};

}  // namespace borealis
