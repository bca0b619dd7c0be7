// The backend of CUDA's module, on the emulated devices (cuda/emulated).
#pragma once

#include <memory>
#include <vector>

#include "kernels/cuda_module.h"

extern "C" void borealis_visible_gpus(std::vector<borealis::GpuId>* gpus);
extern "C" borealis::Backend* borealis_open_cuda(const borealis::CudaOptions* options);

namespace borealis::testing {

inline std::unique_ptr<Backend> open_emulated_cuda(const CudaOptions& options = {}) {
  return std::unique_ptr<Backend>(borealis_open_cuda(&options));
}

}  // namespace borealis::testing
