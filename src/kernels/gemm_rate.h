// The machine's matrix-product rate, against which a run's throughput is held: the best that oneDNN
// reaches, in this process and now, on products of the given shapes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "kernels/linear.h"

namespace borealis {

struct GemmRate {
  double flops_per_s = 0;   // 0: it could not be measured, for which `description` has the reason
  std::string description;  // which product of which type on how many threads gave it
};

// Bytes for the operands of the largest of the products below.
size_t gemm_operand_bytes(ProductMode mode, std::span<const LinearShape> shapes);

// Tries each shape's three products (forward, both gradients; cut to some 10 GFLOP) several times
// within about `seconds`, in the arithmetic that `mode` multiplies in: bf16 where it is native,
// else f32.
// memory: where the operands lie, overwritten with zeros; products are cut further where it has
// less than gemm_operand_bytes.
GemmRate measure_gemm_rate(ProductMode mode, std::span<const LinearShape> shapes, double seconds,
                           std::span<std::byte> memory);

}  // namespace borealis
