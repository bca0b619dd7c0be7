#include "tensor/row_gradients.h"

#include <algorithm>

namespace borealis {
namespace {

struct Buffers {
  int32_t *place_of_row, *rows, *slots;
  float *zeros, *values;

  Buffers(const RowGradientsShape& shape, Arena& host, Arena& of_values)
      : place_of_row(host.take<int32_t>(shape.table_rows)),
        rows(host.take<int32_t>(shape.most_rows)),
        slots(host.take<int32_t>(shape.slots_at_a_time)),
        zeros(host.take<float>(shape.row_size)),
        values(of_values.take<float>(shape.most_rows * shape.row_size)) {}
};

}  // namespace

int64_t RowGradientsShape::bytes() const {
  Arena measured = Arena::measuring();
  const Buffers buffers(*this, measured, measured);
  return measured.used_bytes();
}

RowGradients::RowGradients(const RowGradientsShape& shape, Arena& arena)
    : RowGradients(shape, arena, arena) {}

RowGradients::RowGradients(const RowGradientsShape& shape, Arena& host, Arena& values)
    : shape_(shape) {
  const Buffers buffers(shape, host, values);
  place_of_row_ = buffers.place_of_row;
  rows_ = buffers.rows;
  slots_ = buffers.slots;
  zeros_ = buffers.zeros;
  values_ = buffers.values;
}

void RowGradients::clear() {
  for (int64_t place = 0; place < used_; ++place) place_of_row_[rows_[place]] = 0;
  used_ = 0;
}

std::span<const int32_t> RowGradients::slots(std::span<const int32_t> ids) {
  CHECK(static_cast<int64_t>(ids.size()) <= shape_.slots_at_a_time);
  for (size_t i = 0; i < ids.size(); ++i) {
    int32_t& place = place_of_row_[ids[i]];
    if (place == 0) {
      CHECK(used_ < shape_.most_rows, "more rows than the step was said to touch");
      rows_[used_] = ids[i];
      place = static_cast<int32_t>(++used_);
    }
    slots_[i] = place - 1;
  }
  return {slots_, ids.size()};
}

}  // namespace borealis
