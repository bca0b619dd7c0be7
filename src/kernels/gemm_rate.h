// The machine's matrix-product rate, against which a run's throughput is held: the best that oneDNN
// reaches, in this process and now, on products of the given shapes.
#pragma once

#include <span>
#include <string>

#include "kernels/linear.h"

namespace borealis {

struct GemmRate {
  double flops_per_s = 0;
  std::string description;  // which product of which type on how many threads gave it
};

// Tries each shape's three products (forward, both gradients; cut to some 10 GFLOP) several times
// within about `seconds`, in the arithmetic that `mode` multiplies in: bf16 where it is native,
// else f32.
GemmRate measure_gemm_rate(ProductMode mode, std::span<const LinearShape> shapes, double seconds);

}  // namespace borealis
