// Where what a shard owns of the parameters lies on its rank: in the flat buffers, or, where these
// are sharded, in its own.
#pragma once

#include "parallel/partition.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

template <typename T>
T* owned_weights(const ParameterBuffers& parameters, const ShardPiece& piece) {
  if (parameters.weights_are_sharded()) return parameters.weights_as<T>() + piece.offset;
  return parameters.weights_as<T>() + parameters.table->entries()[piece.parameter].offset +
         piece.begin;
}

// Not of an embedding whose gradient is kept by rows.
inline float* owned_gradients(const ParameterBuffers& parameters, const ShardPiece& piece) {
  if (parameters.gradients_are_sharded()) {
    return parameters.gradients + (piece.offset - parameters.places->shard_first_dense);
  }
  return parameters.gradient_at(parameters.table->entries()[piece.parameter].offset) + piece.begin;
}

// The same of a whole part of a unit, with the gaps between its parameters, which hold zeros.
inline float* owned_gradients(const ParameterBuffers& parameters, const UnitCut& cut,
                              int64_t shard) {
  if (parameters.gradients_are_sharded()) {
    return parameters.gradients + (cut.shard_offset - parameters.places->shard_first_dense);
  }
  return parameters.gradient_at(cut.offset) + cut.begin(shard);
}

}  // namespace borealis
