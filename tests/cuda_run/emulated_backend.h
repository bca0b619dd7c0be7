// The backend of CUDA's module, on the emulated devices (cuda/emulated).
#pragma once

#include <memory>

#include "kernels/cuda_module.h"

extern "C" borealis::Backend* borealis_open_cuda(const borealis::CudaOptions* options);

namespace borealis::testing {

inline std::unique_ptr<Backend> open_emulated_cuda(const CudaOptions& options = {}) {
  return std::unique_ptr<Backend>(borealis_open_cuda(&options));
}

}  // namespace borealis::testing
