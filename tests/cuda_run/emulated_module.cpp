// Linked into tests in the place of what loads the CUDA part (kernels/cuda_module.h): they get its
// backend on the emulated devices.
#include "cuda_run/emulated_backend.h"

namespace borealis {

bool has_cuda_module() { return true; }

std::vector<GpuId> visible_gpus() {
  std::vector<GpuId> gpus;
  borealis_visible_gpus(&gpus);
  return gpus;
}

std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options) {
  return testing::open_emulated_cuda(options);
}

}  // namespace borealis
