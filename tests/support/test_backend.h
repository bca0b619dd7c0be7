// What tests of models compute on: the host, or, with BOREALIS_TEST_DEVICE=cuda, a GPU, by the
// module beside the test's program.
#pragma once

#include <cstdlib>
#include <memory>
#include <string_view>

#include "kernels/cuda_module.h"

namespace borealis::testing {

inline Backend& test_backend() {
  static const std::unique_ptr<Backend> cuda = [] {
    const char* device = std::getenv("BOREALIS_TEST_DEVICE");
    const bool wanted = device != nullptr && std::string_view(device) == "cuda";
    return wanted ? open_cuda_backend({}) : nullptr;
  }();
  return cuda ? *cuda : cpu_backend();
}

}  // namespace borealis::testing
