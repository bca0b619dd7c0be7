// Matrix products by cuBLASLt: bf16 or f32 operands, f32 sums, never TF32.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/gpu_needs.h"
#include "kernels/linear.h"
#include "kernels/ops.h"

namespace borealis::cuda {

// Makes, and keeps, one plan a shape: cuBLASLt's first choice, so that a run's bits do not depend
// on a measurement.
class CublasProducts {
 public:
  // workspace: device memory on a multiple of 256, kGpuProductWorkspaceBytes for the best products.
  CublasProducts(std::span<std::byte> workspace, cudaStream_t stream);
  ~CublasProducts();
  CublasProducts(const CublasProducts&) = delete;
  CublasProducts& operator=(const CublasProducts&) = delete;

  // T is float or bf16.
  template <typename T>
  void forward(const LinearForward<T>& a);
  template <typename T>
  void backward_weight(const LinearBackwardWeight<T>& a);
  template <typename T>
  void backward_input(const LinearBackwardInput<T>& a);
  // y [M, N] f32
  template <typename T>
  void forward_f32(const LinearShape& shape, const T* x, const T* weight, float* y);

 private:
  struct Plans;
  std::unique_ptr<Plans> plans_;
};

}  // namespace borealis::cuda
