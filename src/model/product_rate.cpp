#include "model/product_rate.h"

#include <vector>

namespace borealis {
namespace {

constexpr double kMeasurementSeconds = 0.3;

}  // namespace

GemmRate measure_model_products(const DecoderShape& shape, std::span<std::byte> memory) {
  const std::vector<LinearShape> products = {
      shape.qkv(),
      shape.attention_output(),
      shape.gate_up(),
      shape.down(),
      {shape.rows(), shape.model.vocab_size, shape.model.hidden_size}};
  return measure_gemm_rate(shape.mode, products, kMeasurementSeconds, memory);
}

}  // namespace borealis
