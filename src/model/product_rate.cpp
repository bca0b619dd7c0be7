#include "model/product_rate.h"

#include <fmt/format.h>

#include <vector>

namespace borealis {
namespace {

constexpr double kMeasurementSeconds = 0.3;
constexpr double kGpuMeasurementSeconds = 1.5;

}  // namespace

GemmRate measure_model_products(Backend& backend, const DecoderShape& shape, DType dtype,
                                std::span<std::byte> memory) {
  const std::vector<LinearShape> products = {
      shape.qkv(),
      shape.attention_output(),
      shape.gate_up(),
      shape.down(),
      {shape.rows(), shape.model.vocab_size, shape.model.hidden_size}};
  const double seconds = backend.gpu() == nullptr ? kMeasurementSeconds : kGpuMeasurementSeconds;
  return backend.measure_products(dtype, products, seconds, memory);
}

GemmRate better_rate(GemmRate after_first_step, GemmRate behind_last_step) {
  if (behind_last_step.flops_per_s <= after_first_step.flops_per_s) return after_first_step;
  behind_last_step.description +=
      fmt::format(", behind the last step; after the first it was {}", rate_text(after_first_step));
  return behind_last_step;
}

std::string rate_text(const GemmRate& rate) {
  return rate.flops_per_s > 0 ? fmt::format("{:.3f} TFLOP/s", rate.flops_per_s * 1e-12)
                              : "not measured";
}

}  // namespace borealis
