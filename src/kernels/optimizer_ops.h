// What a backend implements of a step's end: the norm of the gradients, and AdamW. Pointers are of
// the backend's own memory, but for row ids and bits of rows, which are the host's. What is
// computed is stated in kernels/grad_norm.h and kernels/adamw.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/adamw.h"

namespace borealis {

// [count] each; remainder of bf16 weights only.
template <typename T>
struct AdamWSpan {
  T* weight = nullptr;
  uint16_t* remainder = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  const float* gradient = nullptr;
  int64_t count = 0;
};

class OptimizerOps {
 public:
  virtual ~OptimizerOps() = default;

  virtual double sum_of_squares(const float* x, int64_t count) = 0;
  virtual double sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows,
                                        int64_t row_size) = 0;
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
