#include "kernels/cuda/launch.h"

#include <fmt/format.h>

#include "base/error.h"

namespace borealis::cuda {

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw Error(ErrorKind::kDevice,
              fmt::format("{}: {} ({})", what, cudaGetErrorString(code), cudaGetErrorName(code)));
}

}  // namespace borealis::cuda
