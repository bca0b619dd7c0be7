// The operations on a CUDA device's memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "kernels/cuda/fused_attention.h"
#include "kernels/gpu_needs.h"
#include "kernels/ops.h"
#include "kernels/rope.h"

namespace borealis::cuda {

// memory: gpu_ops_bytes of the current device's, of which `gpu` is the profile, on a multiple of
// 256 bytes, which must outlive the operations, as the stream must. Calls are queued in the stream;
// those that return a value wait for it. attention: cuDNN's, of this shape, if it is made already.
template <typename T>
std::unique_ptr<Ops<T>> make_cuda_ops(const GpuOpsShape& shape, const GpuProfile& gpu,
                                      const RopeTable& rope, std::byte* memory, cudaStream_t stream,
                                      std::unique_ptr<FusedAttention> attention = nullptr);

}  // namespace borealis::cuda
