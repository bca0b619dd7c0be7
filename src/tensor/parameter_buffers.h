// The weights and gradients of a rank: two flat buffers of one table's layout. Where the
// embedding's gradient is kept by rows, the gradients start behind its unit, which is the first.
// Under ZeRO 2 the gradients, under ZeRO 3 the weights, too, are a shard's alone; a unit is whole
// only while a pass holds it (tensor/unit_flow.h), and then somewhere else.
#pragma once

#include <cstddef>
#include <vector>

#include "base/dtype.h"
#include "tensor/parameter_table.h"
#include "tensor/row_gradients.h"

namespace borealis {

// Where the units are while a pass holds them, by unit.
struct UnitPlaces {
  std::vector<std::byte*> weights;  // empty: they lie in the flat buffer
  std::vector<float*> gradients;    // likewise
  // A shard of the weights in a partition over ranks of the host, which its ranks gather from.
  std::byte* secondary_weights = nullptr;
  int64_t shard_first_dense = 0;  // elements of the shard's layout without a place in `gradients`
};

struct ParameterBuffers {
  const ParameterTable* table = nullptr;
  DType dtype = DType::kF32;
  // Of dtype: [table->buffer_elements()], or in a shard's layout (parallel/partition.h).
  void* weights = nullptr;
  float* gradients = nullptr;  // [gradient_elements()] or a shard's; nullptr for inference
  RowGradients* embedding_gradient = nullptr;  // by rows; nullptr: it is dense
  const UnitPlaces* places = nullptr;          // nullptr: nothing is sharded

  bool weights_are_sharded() const { return places != nullptr && !places->weights.empty(); }
  bool gradients_are_sharded() const { return places != nullptr && !places->gradients.empty(); }
  bool gradient_is_by_rows(const Parameter& parameter) const {
    return embedding_gradient != nullptr && parameter.kind == ParameterKind::kEmbedding;
  }
  // Elements of the table that have no place in `gradients`.
  int64_t first_dense() const {
    return embedding_gradient == nullptr ? 0 : table->units().front().elements;
  }
  int64_t gradient_elements() const { return table->buffer_elements() - first_dense(); }

  // What lies at `offset` of the table: of a unit that is held, where it is sharded. Not for the
  // gradient of an embedding kept by rows.
  template <typename T>
  T* weight_at(int64_t offset) const {
    if (!weights_are_sharded()) return weights_as<T>() + offset;
    const size_t unit = table->unit_at(offset);
    return reinterpret_cast<T*>(places->weights[unit]) + (offset - table->units()[unit].offset);
  }
  float* gradient_at(int64_t offset) const {
    if (!gradients_are_sharded()) return gradients + (offset - first_dense());
    const size_t unit = table->unit_at(offset);
    return places->gradients[unit] + (offset - table->units()[unit].offset);
  }

  template <typename T>
  T* weights_as() const {
    return static_cast<T*>(weights);
  }
};

}  // namespace borealis
