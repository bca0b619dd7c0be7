// What AdamW keeps of the parameters that a shard owns, in the layout of the shard's buffers
// (parallel/partition.h).
#pragma once

#include <cstdint>

#include "base/direct_file.h"
#include "base/dtype.h"
#include "tensor/arena.h"

namespace borealis {

struct OptimizerState {
  float* first_moment = nullptr;         // [elements]
  float* second_moment = nullptr;        // [elements]
  uint16_t* master_remainder = nullptr;  // [elements], of bf16 weights: SplitF32 in base/dtype.h
  // A bit a row of an embedding whose gradient is kept by rows: it had a gradient in some step. The
  // moments of other rows are zero. nullptr where the gradient is dense.
  uint64_t* had_gradient = nullptr;

  static int64_t row_words(int64_t rows) { return (rows + 63) / 64; }

  OptimizerState() = default;
  // of_rows: where the bits of rows are, which the host reads.
  OptimizerState(int64_t elements, DType dtype, int64_t embedding_rows, Arena& arena,
                 Arena& of_rows)
      : first_moment(take_moment(elements, arena)), second_moment(take_moment(elements, arena)) {
    if (dtype == DType::kBF16) master_remainder = arena.take<uint16_t>(elements);
    if (embedding_rows > 0) had_gradient = of_rows.take<uint64_t>(row_words(embedding_rows));
  }

 private:
  // Saved from where they are (DirectWriter::write_in_place).
  static float* take_moment(int64_t elements, Arena& arena) {
    arena.align(kDirectAlignment);
    return arena.take<float>(elements);
  }
};

}  // namespace borealis
