#include "planner/step_time.h"

#include <algorithm>

#include "base/check.h"
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

// Our own program still has the last segment's activations when backward begins.
double recomputed_layers(const StepShape& shape, TrainingStack stack) {
  if (shape.recompute_segment == 0) return 0;
  const int64_t layers = shape.model.num_hidden_layers;
  if (stack != TrainingStack::kBorealis) return static_cast<double>(layers);
  return static_cast<double>((layers - 1) / shape.recompute_segment * shape.recompute_segment);
}

}  // namespace

std::string_view training_stack_name(TrainingStack stack) {
  return stack == TrainingStack::kBorealis ? "borealis" : "megatron-deepspeed";
}

std::string_view all_reduce_name(AllReduce kind) {
  switch (kind) {
    case AllReduce::kFlat:
      return "flat";
    case AllReduce::kRing:
      return "ring";
    case AllReduce::kHierarchical:
      break;
  }
  return "hierarchical";
}

double StepShape::tokens() const {
  return static_cast<double>(seq_length) * static_cast<double>(micro_batch_size) *
         static_cast<double>(grad_accum_steps);
}

StepShape step_shape(const RunConfig& config, int64_t hosts, int64_t ranks_per_host) {
  return {.model = config.model,
          .seq_length = config.batch.seq_length,
          .micro_batch_size = config.batch.micro_batch_size,
          .grad_accum_steps = config.batch.grad_accum_steps,
          .dtype = config.dtype,
          .recompute_segment = config.recompute.enabled ? config.recompute.layers_per_segment : 0,
          .zero_stage = config.parallel.zero_stage,
          .grad_reduce_dtype = config.parallel.grad_reduce_dtype(),
          .hosts = hosts,
          .ranks_per_host = ranks_per_host};
}

StackTraffic stack_traffic(TrainingStack stack) {
  if (stack == TrainingStack::kBorealis) {
    return {.hidden = 50, .attention = 14, .intermediate = 18, .vocabulary = 0, .gradient = 8};
  }
  return {.hidden = 250, .attention = 80, .intermediate = 64, .vocabulary = 52, .gradient = 12};
}

StepVector step_units(const StepShape& shape, TrainingStack stack) {
  const ModelConfig& model = shape.model;
  const auto D = static_cast<double>(model.hidden_size);
  const auto Q = static_cast<double>(model.query_size());
  const auto R = static_cast<double>(model.key_value_size());
  const auto F = static_cast<double>(model.intermediate_size);
  const auto V = static_cast<double>(model.vocab_size);
  const auto L = static_cast<double>(model.num_hidden_layers);
  const auto g = static_cast<double>(shape.grad_accum_steps);
  const double rows = shape.tokens() / g;
  const double element = static_cast<double>(dtype_bytes(shape.dtype));
  const double again = recomputed_layers(shape, stack);
  const StackTraffic bytes = stack_traffic(stack);

  const auto operands = [&](const Product& product) {
    return 3 * element * rows * (product.inputs + product.outputs) +
           (2 * element + bytes.gradient) * product.weights();
  };
  double weights = 0;
  double layer_bytes = element / 2 * rows *
                       (bytes.hidden * D + bytes.attention * (Q + 2 * R) + bytes.intermediate * F);
  for (const Product& product : layer_products(model)) {
    weights += product.weights();
    layer_bytes += operands(product);
  }
  const double head_bytes = element / 2 * rows * bytes.vocabulary * V + operands(Product{D, V});

  StepVector units{};
  const double layers = L + again / 3;  // forward is a third of a layer
  units[kProducts] = 6 * g * rows * (layers * weights + V * D);
  units[kAttention] =
      12 * g * rows * (L + again * 2 / 7) * Q * static_cast<double>(shape.seq_length);
  units[kTraffic] = g * (layers * layer_bytes + head_bytes);
  units[kParameters] = static_cast<double>(parameter_count(model));
  units[kSteps] = 1;
  return units;
}

double all_reduce_seconds(const Links& links, double bytes, int64_t hosts, int64_t ranks_per_host) {
  CHECK(hosts > 0 && ranks_per_host > 0);
  const auto n = static_cast<double>(hosts), r = static_cast<double>(ranks_per_host);
  const double ranks = n * r;
  if (ranks == 1) return 0;
  const auto passed_on = [bytes](double members, double bytes_per_s, double latency_s) {
    if (members == 1) return 0.0;
    return 2 * (members - 1) * (bytes / members / bytes_per_s + latency_s);
  };
  if (links.all_reduce == AllReduce::kHierarchical) {
    return passed_on(r, links.within_host_bytes_per_s, links.within_host_latency_s) +
           passed_on(n, links.between_hosts_bytes_per_s, links.between_hosts_latency_s);
  }
  double bytes_per_s = links.within_host_bytes_per_s;
  double latency_s = links.within_host_latency_s;
  if (hosts > 1) {
    bytes_per_s = ranks_per_host > 1 ? std::min(bytes_per_s, links.between_hosts_bytes_per_s)
                                     : links.between_hosts_bytes_per_s;
    latency_s = std::max(latency_s, links.between_hosts_latency_s);
  }
  if (links.all_reduce == AllReduce::kRing) return passed_on(ranks, bytes_per_s, latency_s);
  return 2 * (ranks - 1) * (bytes / bytes_per_s + latency_s);
}

double communication_seconds(const StepShape& shape, TrainingStack stack, const Links& links) {
  if (shape.ranks() == 1) return 0;
  const auto parameters = static_cast<double>(parameter_count(shape.model));
  const auto all_reduce = [&](double bytes) {
    return all_reduce_seconds(links, bytes, shape.hosts, shape.ranks_per_host);
  };
  const double weights = static_cast<double>(dtype_bytes(shape.dtype)) * parameters;
  const auto micro_batches = static_cast<double>(shape.grad_accum_steps);
  if (stack == TrainingStack::kBorealis) {
    const auto gradient_bytes = static_cast<double>(dtype_bytes(shape.grad_reduce_dtype));
    const double gradients = all_reduce(gradient_bytes * parameters);
    const double gather = all_reduce(weights) / 2;
    const double gathers = shape.recompute_segment > 0 ? 3 : 2;  // of a micro-batch
    switch (shape.zero_stage) {
      case 0:
        return gradients;
      case 1:
        return gradients / 2 + gather;
      case 2:
        return micro_batches * gradients / 2 + gather;
      default:
        return micro_batches * (gradients / 2 + gathers * gather);
    }
  }
  double seconds = all_reduce(2 * parameters) + all_reduce(weights) / 2;
  if (shape.zero_stage == 3) {
    seconds += micro_batches * all_reduce(weights);
  }
  return seconds;
}

}  // namespace borealis
