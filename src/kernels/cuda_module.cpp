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

// A function of the module, which stays loaded until the program ends.
template <typename Function>
Function* function_of_module(const char* name) {
  const std::filesystem::path path = module_path();
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kDevice,
                fmt::format("this program was built without CUDA: there is no {}", path.string()),
                fmt::format("build it where nvcc is (docs/gpu.md), {}", kRemedy));
  }
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    throw Error(
        ErrorKind::kDevice, fmt::format("the CUDA part cannot be loaded: {}", ::dlerror()),
        fmt::format("install the library, or name its folder in LD_LIBRARY_PATH, {}", kRemedy));
  }
  auto* function = reinterpret_cast<Function*>(::dlsym(module, name));
  if (function == nullptr) {
    throw Error(ErrorKind::kDevice, fmt::format("{} is of another build", path.string()),
                "build it anew");
  }
  return function;
}

}  // namespace

bool has_cuda_module() {
  std::error_code unknown;
  return std::filesystem::exists(module_path(), unknown);
}

std::vector<GpuId> visible_gpus() {
  using Look = void(std::vector<GpuId>*);
  std::vector<GpuId> gpus;
  try {
    function_of_module<Look>("borealis_visible_gpus")(&gpus);
  } catch (const Error&) {
    gpus.clear();
  }
  return gpus;
}

std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options) {
  using Open = Backend*(const CudaOptions*);
  return std::unique_ptr<Backend>(function_of_module<Open>("borealis_open_cuda")(&options));
}

}  // namespace borealis
