// The CUDA part of the program: a module beside it, borealis_cuda.so, which is loaded where it is
// asked for. So the program starts, and does everything else, where there is neither a driver nor
// a CUDA library.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/gpu_shares.h"

namespace borealis {

struct CudaOptions {
  bool deterministic = true;  // the attention's gradients have the same bits in every run
  int64_t number = 0;         // of the device, among visible_gpus()
  int64_t ranks = 1;          // of this host that compute on it
  bool in_group = false;      // of a job of several ranks, of which each has a device to itself
};

// Whether the program was built with it.
bool has_cuda_module();
// That this process sees, by CUDA's numbers. None where they cannot be looked at: opening the
// backend says why.
std::vector<GpuId> visible_gpus();
// Throws Error(kDevice) that says what is missing: the module, a library, the driver, a device.
std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options);

}  // namespace borealis
