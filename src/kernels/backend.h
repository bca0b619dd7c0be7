// What computes: a device, and the operations on its memory. One for a run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "device/device.h"
#include "kernels/device_group.h"
#include "kernels/gemm_rate.h"
#include "kernels/gpu_needs.h"
#include "kernels/ops.h"
#include "kernels/optimizer_ops.h"
#include "kernels/rope.h"

namespace borealis {

// What operations are made for. Its memory must outlive them.
struct OpsSetup {
  RopeTable rope;
  float* scratch = nullptr;  // of the backend's memory, as the plan has it
  // Of the host:
  ProductMode mode = ProductMode::kF32;
  ProductChoice products = ProductChoice::kOwnWhereTheyFit;
  int threads = 1;
  float* norm_scratch = nullptr;  // rms_norm_backward_scratch_floats, or null: no backward pass
  // Of a GPU, with gpu_ops_bytes of scratch:
  GpuOpsShape gpu;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual Device& device() = 0;
  // Null: the host.
  virtual const GpuProfile* gpu() const { return nullptr; }

  virtual std::unique_ptr<Ops<float>> make_f32_ops(OpsSetup setup) = 0;
  virtual std::unique_ptr<Ops<bf16>> make_bf16_ops(OpsSetup setup) = 0;
  // scratch: gpu_optimizer_bytes of a GPU.
  virtual std::unique_ptr<OptimizerOps> make_optimizer_ops(const GpuOptimizerShape& shape,
                                                           std::span<std::byte> scratch) = 0;
  // As measure_gemm_rate(), which is the host's; memory is the backend's.
  virtual GemmRate measure_products(DType dtype, std::span<const LinearShape> shapes,
                                    double seconds, std::span<std::byte> memory) = 0;
  // Begins to look at the device's clocks and power; what they were since, as text, or empty.
  virtual void watch() {}
  virtual std::string watched() const { return ""; }
  // Of a GPU that has a group (GpuProfile): one rank makes an id, and with it all join, in one call
  // of each. waits: of that call, and of the group. Throws Error(kRanks).
  using GroupId = std::array<std::byte, 128>;
  virtual GroupId make_group_id() { return {}; }
  virtual std::unique_ptr<DeviceGroup> join_group(const GroupId&, int64_t /*rank*/,
                                                  int64_t /*ranks*/, GroupWaits /*waits*/) {
    return nullptr;
  }
  // Bytes a second that reading and writing memory come to.
  virtual double measure_bandwidth(std::span<std::byte> memory) = 0;
};

Backend& cpu_backend();

template <typename T>
std::unique_ptr<Ops<T>> make_ops(Backend& backend, OpsSetup setup) {
  if constexpr (dtype_of<T>() == DType::kF32) {
    return backend.make_f32_ops(std::move(setup));
  } else {
    return backend.make_bf16_ops(std::move(setup));
  }
}

}  // namespace borealis
