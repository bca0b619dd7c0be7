// The weights and gradients of a rank: two flat buffers of one table's layout.
#pragma once

#include "base/dtype.h"
#include "tensor/parameter_table.h"

namespace borealis {

struct ParameterBuffers {
  const ParameterTable* table = nullptr;
  DType dtype = DType::kF32;
  void* weights = nullptr;     // [table->buffer_elements()] of dtype
  float* gradients = nullptr;  // [table->buffer_elements()]; nullptr for inference

  template <typename T>
  T* weights_as() const {
    return static_cast<T*>(weights);
  }
};

}  // namespace borealis
