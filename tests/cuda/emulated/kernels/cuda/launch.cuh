// Stands for src/kernels/cuda/launch.cuh: kernels run on the emulated grid.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "cuda/emulated/stream.h"
#include "kernels/cuda/launch.h"

namespace borealis::cuda {

template <typename... Arguments>
void launch(const char* what, void (*kernel)(Arguments...), dim3 grid, int threads,
            cudaStream_t stream, std::type_identity_t<Arguments>... arguments) {
  emulated::queue(stream, [=] {
    emulated::run(grid, dim3(static_cast<unsigned>(threads)), [&] { kernel(arguments...); });
  });
  check(cudaGetLastError(), what);
}

}  // namespace borealis::cuda
