#include "kernels/emulated/dnnl.hpp"

#include "base/dtype.h"

namespace dnnl {
namespace {

float value_at(const memory& m, int64_t row, int64_t column) {
  const int64_t at = row * m.description.strides[0] + column * m.description.strides[1];
  if (m.description.type == memory::data_type::f32) return static_cast<const float*>(m.data)[at];
  return static_cast<float>(static_cast<const borealis::bf16*>(m.data)[at]);
}

void put(const memory& m, int64_t row, int64_t column, float value) {
  const int64_t at = row * m.description.strides[0] + column * m.description.strides[1];
  if (m.description.type == memory::data_type::f32) {
    static_cast<float*>(m.data)[at] = value;
  } else {
    static_cast<borealis::bf16*>(m.data)[at] = borealis::bf16(value);
  }
}

}  // namespace

void matmul::execute(const stream&, const std::unordered_map<int, memory>& operands) const {
  const memory &a = operands.at(DNNL_ARG_SRC), &b = operands.at(DNNL_ARG_WEIGHTS);
  const memory& c = operands.at(DNNL_ARG_DST);
  const int64_t rows = c.description.sizes[0], columns = c.description.sizes[1];
  const int64_t depth = a.description.sizes[1];
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = adds_ ? static_cast<double>(value_at(c, i, j)) : 0;
      for (int64_t k = 0; k < depth; ++k) {
        sum += static_cast<double>(value_at(a, i, k)) * static_cast<double>(value_at(b, k, j));
      }
      put(c, i, j, static_cast<float>(sum));
    }
  }
}

}  // namespace dnnl
