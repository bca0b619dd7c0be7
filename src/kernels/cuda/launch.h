// What follows a call of CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace borealis::cuda {

// Throws Error(kDevice) with CUDA's own words for it.
void check(cudaError_t code, const char* what);

inline unsigned blocks_for(int64_t count, int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

}  // namespace borealis::cuda
