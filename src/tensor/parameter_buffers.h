// The weights and gradients of a rank: two flat buffers of one table's layout. Where the
// embedding's gradient is kept by rows, the gradients start behind its unit, which is the first.
#pragma once

#include "base/dtype.h"
#include "tensor/parameter_table.h"
#include "tensor/row_gradients.h"

namespace borealis {

struct ParameterBuffers {
  const ParameterTable* table = nullptr;
  DType dtype = DType::kF32;
  void* weights = nullptr;                     // [table->buffer_elements()] of dtype
  float* gradients = nullptr;                  // [gradient_elements()]; nullptr for inference
  RowGradients* embedding_gradient = nullptr;  // by rows; nullptr: it is dense

  bool gradient_is_by_rows(const Parameter& parameter) const {
    return embedding_gradient != nullptr && parameter.kind == ParameterKind::kEmbedding;
  }
  // Elements of the table that have no place in `gradients`.
  int64_t first_dense() const {
    return embedding_gradient == nullptr ? 0 : table->units().front().elements;
  }
  int64_t gradient_elements() const { return table->buffer_elements() - first_dense(); }
  // Of the parameter that starts at `offset`; not for an embedding's kept by rows.
  float* gradient_at(int64_t offset) const { return gradients + (offset - first_dense()); }

  template <typename T>
  T* weights_as() const {
    return static_cast<T*>(weights);
  }
};

}  // namespace borealis
