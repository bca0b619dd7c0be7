#include "kernels/cuda_module.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"

namespace borealis {
namespace {

constexpr const char* kRemedy = "or run with DEVICE=cpu";

std::filesystem::path module_path() {
  std::error_code unknown;
  return std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path() /
         "borealis_cuda.so";
}

}  // namespace

bool has_cuda_module() {
  std::error_code unknown;
  return std::filesystem::exists(module_path(), unknown);
}

std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options) {
  const std::filesystem::path path = module_path();
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kDevice,
                fmt::format("this program was built without CUDA: there is no {}", path.string()),
                fmt::format("build it where nvcc is (docs/gpu.md), {}", kRemedy));
  }
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // until the program ends
  if (module == nullptr) {
    throw Error(
        ErrorKind::kDevice, fmt::format("the CUDA part cannot be loaded: {}", ::dlerror()),
        fmt::format("install the library, or name its folder in LD_LIBRARY_PATH, {}", kRemedy));
  }
  using Open = Backend*(const CudaOptions*);
  auto* open = reinterpret_cast<Open*>(::dlsym(module, "borealis_open_cuda"));
  if (open == nullptr) {
    throw Error(ErrorKind::kDevice, fmt::format("{} is of another build", path.string()),
                "build it anew");
  }
  return std::unique_ptr<Backend>(open(&options));
}

}  // namespace borealis
