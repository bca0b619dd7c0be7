#include <utility>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/triad.h"

namespace borealis {
namespace {

CpuOpsSetup cpu_setup(OpsSetup setup) {
  return {.mode = setup.mode,
          .products = setup.products,
          .threads = setup.threads,
          .rope = std::move(setup.rope),
          .scratch = setup.scratch,
          .norm_scratch = setup.norm_scratch};
}

class CpuBackend : public Backend {
 public:
  Device& device() override { return host_device(); }
  std::unique_ptr<Ops<float>> make_f32_ops(OpsSetup setup) override {
    return make_cpu_ops<float>(cpu_setup(std::move(setup)));
  }
  std::unique_ptr<Ops<bf16>> make_bf16_ops(OpsSetup setup) override {
    return make_cpu_ops<bf16>(cpu_setup(std::move(setup)));
  }
  std::unique_ptr<OptimizerOps> make_optimizer_ops(const GpuOptimizerShape&,
                                                   std::span<std::byte>) override {
    return make_cpu_optimizer_ops();
  }
  GemmRate measure_products(DType dtype, std::span<const LinearShape> shapes, double seconds,
                            std::span<std::byte> memory) override {
    return measure_gemm_rate(product_mode(dtype), shapes, seconds, memory);
  }
  double measure_bandwidth(std::span<std::byte>) override { return measure_triad_bytes_per_s(); }
};

}  // namespace

Backend& cpu_backend() {
  static CpuBackend backend;
  return backend;
}

}  // namespace borealis
