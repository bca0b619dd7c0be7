// The CUDA part of the program: a module beside it, borealis_cuda.so, which is loaded where it is
// asked for. So the program starts, and does everything else, where there is neither a driver nor
// a CUDA library.
#pragma once

#include <memory>
#include <string>

#include "kernels/backend.h"

namespace borealis {

struct CudaOptions {
  bool deterministic = true;  // the attention's gradients have the same bits in every run
  // The ranks of this host that see these devices, and this one's number among them: each takes the
  // next, from the first again where there are fewer.
  int64_t ranks = 1;
  int64_t rank = 0;
  bool in_group = false;  // of a job of several ranks, of this host or others
};

// Whether the program was built with it.
bool has_cuda_module();
// Throws Error(kDevice) that says what is missing: the module, a library, the driver, a device.
std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options);

}  // namespace borealis
