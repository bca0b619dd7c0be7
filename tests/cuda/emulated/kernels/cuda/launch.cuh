// Stands for src/kernels/cuda/launch.cuh: kernels run on the emulated grid.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/cuda/launch.h"

namespace borealis::cuda {

template <typename... Arguments>
void launch(const char*, void (*kernel)(Arguments...), dim3 grid, int threads, cudaStream_t,
            std::type_identity_t<Arguments>... arguments) {
  emulated::run(grid, dim3(static_cast<unsigned>(threads)), [&] { kernel(arguments...); });
}

}  // namespace borealis::cuda
