// Linked into the program in the place of its CUDA part (kernels/cuda_module.h): a GPU whose
// kernels are the CPU's and whose memory the host cannot touch, so that whole runs on a GPU are
// tested where there is none. It has EMULATED_GPU_BYTES of memory, of which others took
// EMULATED_GPU_TAKEN behind everybody's back.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "kernels/cuda_module.h"
#include "support/fake_gpu.h"

namespace borealis {
namespace {

class EmulatedGpu : public testing::FakeGpuBackend {
 public:
  EmulatedGpu(const CudaOptions& options, testing::FakeGpuMemory memory) : FakeGpuBackend(memory) {
    profile_.deterministic = options.deterministic;
    profile_.ranks = options.ranks;
    profile_.memory_bytes /= options.ranks;
  }
};

}  // namespace

bool has_cuda_module() { return true; }

std::vector<GpuId> visible_gpus() { return {"the only one"}; }

std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options) {
  constexpr int64_t kDefaultBytes = int64_t{1} << 30, kContextBytes = int64_t{32} << 20;
  const auto bytes = [](const char* variable, int64_t otherwise) {
    const std::optional<std::string> text = process_environment()(variable);
    return text ? std::stoll(*text) : otherwise;
  };
  return std::make_unique<EmulatedGpu>(
      options, testing::FakeGpuMemory{.total_bytes = bytes("EMULATED_GPU_BYTES", kDefaultBytes),
                                      .context_bytes = kContextBytes,
                                      .taken_bytes = bytes("EMULATED_GPU_TAKEN", 0)});
}

}  // namespace borealis
