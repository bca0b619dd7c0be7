// The cross entropy's gradient with one pass over the logits, where a cluster of blocks can hold a
// row in its shared memory. No GPU has run it so far, and the emulated grid has no clusters:
// cross_entropy_gradient does not use it before its tests have passed on one.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace borealis::cuda {

// cross_entropy_gradient of cuda_kernels.h, or false where the device has no clusters (before
// compute capability 9.0) or the rows do not suit: then nothing was done.
template <typename T>
bool cluster_cross_entropy_gradient(T* logits, const int32_t* targets, int64_t rows, int64_t V,
                                    float scale, float* loss, cudaStream_t stream);

}  // namespace borealis::cuda
