// What a backend implements of a step's end: the norm of the gradients, and AdamW. Pointers are of
// the backend's own memory, but for sums, row ids and bits of rows, which are the host's. What is
// computed is stated in kernels/grad_norm.h and kernels/adamw.h; a device other than the host adds
// up the squares of a block, or of a row, in an order of its own, and blocks and rows as a tree.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/adamw.h"

namespace borealis {

// [count] each; remainder of bf16 weights only. to: where the new state goes (adamw_move), on the
// host alone; none: in place.
template <typename T>
struct AdamWSpan {
  T* weight = nullptr;
  uint16_t* remainder = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  const float* gradient = nullptr;
  int64_t count = 0;
  AdamWState to = {};
};

class OptimizerOps {
 public:
  virtual ~OptimizerOps() = default;

  // *sum is there after wait(), until which it must stay where it is.
  virtual void sum_of_squares(const float* x, int64_t count, double* sum) = 0;
  // rows: each of 0 .. rows.size() - 1 once; read before this returns.
  virtual void sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows,
                                      int64_t row_size, double* sum) = 0;
  virtual void wait() = 0;

  virtual void adamw(const AdamWSpan<bf16>& span, const AdamWStep& step) = 0;
  virtual void adamw(const AdamWSpan<float>& span, const AdamWStep& step) = 0;
  virtual void adamw_rows(const AdamWRows<bf16>& rows, const RowGradients& gradient,
                          const AdamWStep& step) = 0;
  virtual void adamw_rows(const AdamWRows<float>& rows, const RowGradients& gradient,
                          const AdamWStep& step) = 0;
};

// On the host's memory, on all OpenMP threads.
std::unique_ptr<OptimizerOps> make_cpu_optimizer_ops();

}  // namespace borealis
