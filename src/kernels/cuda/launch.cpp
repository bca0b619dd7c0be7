#include "kernels/cuda/launch.h"

#include <fmt/format.h>

#include <stdexcept>

namespace borealis::cuda {

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw std::runtime_error(
      fmt::format("CUDA: {}: {} ({})", what, cudaGetErrorString(code), cudaGetErrorName(code)));
}

}  // namespace borealis::cuda
