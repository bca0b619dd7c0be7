// The weights and gradients of a rank: two flat buffers of one table's layout. Where the first
// parameter is an embedding whose gradient is kept by rows, the gradients start behind it.
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
  RowGradients* embedding_gradient = nullptr;  // of the first parameter; nullptr: it is dense

  // Elements of the table that have no place in `gradients`.
  int64_t first_dense() const {
    const auto entries = table->entries();
    if (embedding_gradient == nullptr) return 0;
    return entries.size() > 1 ? entries[1].offset : table->buffer_elements();
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
