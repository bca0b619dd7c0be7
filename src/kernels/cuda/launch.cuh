// How kernels are launched.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/cuda/launch.h"

namespace borealis::cuda {

// what: for the message, should the launch fail.
template <typename... Arguments>
void launch(const char* what, void (*kernel)(Arguments...), dim3 grid, int threads,
            cudaStream_t stream, std::type_identity_t<Arguments>... arguments) {
  kernel<<<grid, threads, 0, stream>>>(arguments...);
  check(cudaGetLastError(), what);
}

}  // namespace borealis::cuda
