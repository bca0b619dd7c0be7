#include "model/product_rate.h"

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

}  // namespace borealis
