// The end of a step on a CUDA device.
#pragma once

#include <memory>
#include <span>

#include "kernels/cuda/cuda_device.h"
#include "kernels/gpu_needs.h"
#include "kernels/optimizer_ops.h"

namespace borealis::cuda {

// scratch: gpu_optimizer_bytes(shape) of the device's, which must outlive it, as the device must.
std::unique_ptr<OptimizerOps> make_cuda_optimizer_ops(const GpuOptimizerShape& shape,
                                                      std::span<std::byte> scratch,
                                                      CudaDevice& device);

}  // namespace borealis::cuda
