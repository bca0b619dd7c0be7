// The operations on a CUDA device's memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/ops.h"
#include "kernels/rope.h"

namespace borealis::cuda {

// The largest sizes of the calls to come.
struct CudaOpsShape {
  int64_t rows = 0;  // tokens of a pass
  int64_t hidden_size = 0;
  int64_t num_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t rope_positions = 0;
  int64_t head_rows = 0;  // whose logits are held at a time, of both directions
};

// Bytes of device memory that make_cuda_ops needs, for the memory plan; by the number of
// multiprocessors of the device that is meant.
int64_t cuda_ops_bytes(const CudaOpsShape& shape, DType dtype, int multiprocessors);

// memory: cuda_ops_bytes of the current device's, on a multiple of 256 bytes, which must outlive
// the operations, as the stream must. Calls are queued in the stream; those that return a value
// wait for it.
template <typename T>
std::unique_ptr<Ops<T>> make_cuda_ops(const CudaOpsShape& shape, const RopeTable& rope,
                                      std::span<std::byte> memory, cudaStream_t stream);

}  // namespace borealis::cuda
