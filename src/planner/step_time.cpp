#include "planner/step_time.h"

#include "model/accounting.h"

namespace borealis {
namespace {

// Weights of one product: k -> n.
struct Product {
  double inputs = 0, outputs = 0;
  double weights() const { return inputs * outputs; }
};

std::array<Product, 4> layer_products(const ModelConfig& model) {
  const auto D = static_cast<double>(model.hidden_size);
  const auto Q = static_cast<double>(model.query_size());
  const auto R = static_cast<double>(model.key_value_size());
  const auto F = static_cast<double>(model.intermediate_size);
  return {{{D, Q + 2 * R}, {Q, D}, {D, 2 * F}, {F, D}}};
}

double operand_bytes(const Product& product, const StepShape& shape, TrainingStack stack) {
  const double element = static_cast<double>(dtype_bytes(shape.dtype));
  return 3 * element * shape.micro_batch_tokens() * (product.inputs + product.outputs) +
         (2 * element + stack_traffic(stack).gradient) * product.weights();
}

}  // namespace

std::string_view training_stack_name(TrainingStack stack) {
  return stack == TrainingStack::kBorealis ? "borealis" : "megatron-deepspeed";
}

double StepShape::micro_batch_tokens() const {
  return static_cast<double>(seq_length) * static_cast<double>(micro_batch_size) /
         static_cast<double>(sequence_parallel_size);
}

double StepShape::tokens() const {
  return micro_batch_tokens() * static_cast<double>(grad_accum_steps);
}

StepShape step_shape(const RunConfig& config, int64_t hosts, int64_t ranks_per_host) {
  return {.model = config.model,
          .seq_length = config.batch.seq_length,
          .micro_batch_size = config.batch.micro_batch_size,
          .grad_accum_steps = config.batch.grad_accum_steps,
          .sequence_parallel_size = config.parallel.sequence_parallel_size,
          .dtype = config.dtype,
          .recompute_segment = config.recompute.enabled ? config.recompute.layers_per_segment : 0,
          .zero_stage = config.parallel.zero_stage,
          .zero_hpz_partition_size = config.parallel.zero_hpz_partition_size,
          .grad_reduce_dtype = config.parallel.grad_reduce_dtype(),
          .hosts = hosts,
          .ranks_per_host = ranks_per_host};
}

// Our own program still has the last segment's activations when backward begins.
double recomputed_layers(const StepShape& shape, TrainingStack stack) {
  if (shape.recompute_segment == 0) return 0;
  const int64_t layers = shape.model.num_hidden_layers;
  if (stack != TrainingStack::kBorealis) return static_cast<double>(layers);
  return static_cast<double>((layers - 1) / shape.recompute_segment * shape.recompute_segment);
}

StackTraffic stack_traffic(TrainingStack stack) {
  if (stack == TrainingStack::kBorealis) {
    return {.hidden = 50, .attention = 14, .intermediate = 18, .vocabulary = 0, .gradient = 8};
  }
  return {.hidden = 250, .attention = 80, .intermediate = 64, .vocabulary = 52, .gradient = 12};
}

PassWork layer_work(const StepShape& shape, TrainingStack stack) {
  const ModelConfig& model = shape.model;
  const auto D = static_cast<double>(model.hidden_size);
  const auto Q = static_cast<double>(model.query_size());
  const auto R = static_cast<double>(model.key_value_size());
  const auto F = static_cast<double>(model.intermediate_size);
  const double rows = shape.micro_batch_tokens();
  const double element = static_cast<double>(dtype_bytes(shape.dtype));
  const StackTraffic bytes = stack_traffic(stack);
  PassWork work;
  work.attention_flops = 12 * rows * Q * static_cast<double>(shape.seq_length);
  work.bytes = element / 2 * rows *
               (bytes.hidden * D + bytes.attention * (Q + 2 * R) + bytes.intermediate * F);
  for (const Product& product : layer_products(model)) {
    work.product_flops += 6 * rows * product.weights();
    work.bytes += operand_bytes(product, shape, stack);
  }
  if (shape.sequence_parallel_size > 1) work.bytes += 8 * element * rows * (Q + R);
  return work;
}

PassWork head_work(const StepShape& shape, TrainingStack stack) {
  const auto D = static_cast<double>(shape.model.hidden_size);
  const auto V = static_cast<double>(shape.model.vocab_size);
  const double rows = shape.micro_batch_tokens();
  const double element = static_cast<double>(dtype_bytes(shape.dtype));
  return {.product_flops = 6 * rows * V * D,
          .attention_flops = 0,
          .bytes = element / 2 * rows * stack_traffic(stack).vocabulary * V +
                   operand_bytes(Product{D, V}, shape, stack)};
}

StepVector step_units(const StepShape& shape, TrainingStack stack) {
  const PassWork layer = layer_work(shape, stack), head = head_work(shape, stack);
  const auto L = static_cast<double>(shape.model.num_hidden_layers);
  const auto g = static_cast<double>(shape.grad_accum_steps);
  const double again = recomputed_layers(shape, stack);
  const bool shards_optimizer = stack == TrainingStack::kBorealis && shape.zero_stage >= 1;
  StepVector units{};
  const double layers = L + again / 3;  // forward is a third of a layer
  units[kProducts] = g * (layers * layer.product_flops + head.product_flops);
  units[kAttention] = g * (L + again * 2 / 7) * layer.attention_flops;
  units[kTraffic] = g * (layers * layer.bytes + head.bytes);
  units[kParameters] = static_cast<double>(parameter_count(shape.model)) /
                       static_cast<double>(shards_optimizer ? shape.ranks() : 1);
  units[kSteps] = 1;
  return units;
}

}  // namespace borealis
