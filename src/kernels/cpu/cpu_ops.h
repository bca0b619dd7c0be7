// The operations on the host's memory: kernels/cpu/ and kernels/onednn/, on all OpenMP threads, one
// call at a time.
#pragma once

#include <memory>

#include "kernels/ops.h"
#include "kernels/rope.h"

namespace borealis {

struct CpuOpsSetup {
  ProductMode mode = ProductMode::kF32;
  ProductChoice products = ProductChoice::kOwnWhereTheyFit;
  int threads = 1;
  RopeTable rope;
  // As many floats as the largest of the kernels' needs of the shapes to come.
  float* scratch = nullptr;
  float* norm_scratch = nullptr;  // rms_norm_backward_scratch_floats, or null: no backward pass
};

// The setup's memory must outlive it. T is float or bf16.
template <typename T>
std::unique_ptr<Ops<T>> make_cpu_ops(CpuOpsSetup setup);

}  // namespace borealis
