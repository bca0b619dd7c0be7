#include "model/accounting.h"

#include <algorithm>

#include "base/check.h"
#include "model/parameter_layout.h"
#include "model/step_kernels.h"

namespace borealis {
namespace {

// Measured as what the resident set grows by besides our own arenas, on models of 0.1 to 550 M
// parameters: code and tables of the libraries that the first steps bring in, besides the panels of
// both operands that oneDNN's products copy into buffers of their own.
constexpr int64_t kLibraryCodeBytes = int64_t{7} << 20;
// A forward pass alone, measured on models of 0.6 to 120 M parameters, brings in less code, and its
// panels have the width of the operands.
constexpr int64_t kForwardCodeBytes = (int64_t{5} << 20) / 2;

// What oneDNN keeps of the kernels of one product's shape, measured on passes of 1 to 480 rows.
constexpr int64_t kProductKernelBytes = int64_t{96} << 10;

int64_t library_bytes(const DecoderShape& shape) {
  int64_t largest_operands = 0;
  for (const LinearShape& s :
       {shape.qkv(), shape.attention_output(), shape.gate_up(), shape.down(),
        LinearShape{shape.rows(), shape.model.vocab_size, shape.model.hidden_size}}) {
    largest_operands = std::max(largest_operands, 4 * s.in_features * (s.rows + s.out_features));
  }
  const int64_t panels = std::min(largest_operands, library_panel_bytes(shape.threads));
  if (!shape.forward_only) return kLibraryCodeBytes + panels;
  return kForwardCodeBytes + (shape.mode == ProductMode::kBF16Native ? panels / 2 : panels);
}

// Kernels of the sizes that passes can have, beyond the one that library_bytes counts: four
// products of a layer, and the head of as many texts as a pass has rows.
int64_t pass_kernel_bytes(const GenerationShape& shape) {
  const auto prompt_sizes =
      std::min(static_cast<int64_t>(shape.prompt_pass_rows().size()), shape.prompts);
  const auto decode_sizes = static_cast<int64_t>(shape.decode_pass_rows().size());
  const bool own = linear_engine_bytes(shape.mode, shape.threads, shape.largest_pass().products) >
                   0;  // those of prompts are ours
  return (4 * (own ? 0 : prompt_sizes - 1) + 5 * (decode_sizes - 1)) * kProductKernelBytes;
}

// Weights, the buffers of these arenas, and what a decoder of this shape has besides.
MemoryPlan plan_of(const DecoderShape& shape, const DecoderArenas& arenas, int64_t positions,
                   DType dtype) {
  MemoryPlan plan;
  plan.weights_bytes = make_parameter_table(shape.model).buffer_elements() *
                       static_cast<int64_t>(dtype_bytes(dtype));
  plan.activations_bytes = arenas.activations.used_bytes();
  plan.working_bytes = arenas.working.used_bytes();
  plan.forward_only = shape.forward_only;
  if (shape.gpu) {
    plan.on_gpu = true;
    plan.scratch_bytes = arenas.scratch.used_bytes();
    plan.context_bytes = shape.gpu->context_bytes;
    return plan;
  }
  plan.scratch_bytes =
      arenas.scratch.used_bytes() + linear_engine_bytes(shape.mode, shape.threads, shape.products);
  plan.tables_bytes = positions * shape.model.head_dim * 4;  // cos and sin, C/2 each
  plan.libraries_bytes = library_bytes(shape);
  return plan;
}

MemoryPlan plan_buffers(const DecoderShape& shape, DType dtype) {
  DecoderArenas arenas = DecoderArenas::measuring();
  if (dtype == DType::kF32) {
    const DecoderBuffers<float> measured(shape, arenas);
  } else {
    const DecoderBuffers<bf16> measured(shape, arenas);
  }
  return plan_of(shape, arenas, shape.seq_length, dtype);
}

}  // namespace

int64_t parameter_count(const ModelConfig& model) {
  const int64_t D = model.hidden_size;
  const int64_t layer = 2 * D * model.query_size() + 2 * D * model.key_value_size() +
                        3 * D * model.intermediate_size + 2 * D;
  const int64_t embeddings = model.vocab_size * D * (model.tie_word_embeddings ? 1 : 2);
  return embeddings + model.num_hidden_layers * layer + D;
}

double flops_per_token(const ModelConfig& model, int64_t seq_length) {
  const auto D = static_cast<double>(model.hidden_size);
  const auto Q = static_cast<double>(model.query_size());
  const double layer = 2 * D * Q + 2 * D * static_cast<double>(model.key_value_size()) +
                       3 * D * static_cast<double>(model.intermediate_size) +
                       2 * Q * static_cast<double>(seq_length);
  return 6 * (static_cast<double>(model.num_hidden_layers) * layer +
              static_cast<double>(model.vocab_size) * D);
}

int64_t MemoryPlan::host_bytes() const {
  if (!on_gpu) return total_bytes();
  return beside_gpu_bytes + sums_bytes + data_bytes + profile_bytes + transfer_bytes +
         snapshot_bytes + program_bytes;
}

int64_t MemoryPlan::total_bytes() const {
  if (on_gpu) {
    return weights_bytes + gradients_bytes + optimizer_bytes + group_bytes + activations_bytes +
           cache_bytes + working_bytes + scratch_bytes + context_bytes;
  }
  return weights_bytes + gradients_bytes + optimizer_bytes + sums_bytes + activations_bytes +
         cache_bytes + working_bytes + scratch_bytes + tables_bytes + data_bytes + profile_bytes +
         transfer_bytes + snapshot_bytes + libraries_bytes + program_bytes;
}

std::vector<MemoryClass> MemoryPlan::classes(DType dtype) const {
  constexpr int kHostClasses = 7;  // those from here on are of the host's memory alone
  const bool narrow = dtype == DType::kBF16;
  std::vector<MemoryClass> classes = {
      {narrow ? "weights (bf16)" : "weights (fp32)", weights_bytes},
      {"gradients (fp32)", gradients_bytes},
      {narrow ? "optimizer: two moments, lower half of fp32 weights"
              : "optimizer: two moments (fp32)",
       optimizer_bytes},
      {forward_only ? "activations of one layer" : "activations kept for backward",
       activations_bytes},
      {"key/value cache", cache_bytes},
      {cache_bytes > 0 ? "working set of one layer, logits" : "working set of one layer",
       working_bytes},
      {"scratch of products, attention and logits", scratch_bytes},
      {"position tables", tables_bytes},
      {cache_bytes > 0 ? "prompts and texts"
       : forward_only  ? "tokens of the text and batch"
                       : "sample index and batches",
       data_bytes},
      {"buffers inside libraries", libraries_bytes},
      {"program and shared libraries", program_bytes},
  };
  if (on_gpu) {
    classes.erase(classes.begin() + kHostClasses, classes.end());
    classes.push_back({"pieces of gradients between ranks", group_bytes});
    classes.push_back({kGpuContextClass, context_bytes});
    std::erase_if(classes, [](const MemoryClass& entry) { return entry.bytes == 0; });
    return classes;
  }
  classes.push_back({"pieces of gradients between ranks", sums_bytes});
  classes.push_back({"events of the profile", profile_bytes});
  classes.push_back({"buffers for saving and loading", transfer_bytes});
  classes.push_back({"second place for the state, to save it in the background", snapshot_bytes});
  std::erase_if(classes, [](const MemoryClass& entry) { return entry.bytes == 0; });
  return classes;
}

MemoryPlan plan_memory(const RunLayout& layout, ProfiledSteps profiled, int64_t data_bytes,
                       int64_t program_bytes) {
  MemoryPlan plan = plan_buffers(layout.decoder, layout.dtype);
  TrainingArenas arenas = TrainingArenas::measuring();
  const TrainingBuffers measured(layout, arenas);
  plan.weights_bytes = arenas.weights.used_bytes();
  plan.gradients_bytes = arenas.gradients.used_bytes();
  plan.optimizer_bytes = arenas.optimizer.used_bytes();
  plan.sums_bytes = arenas.sums.used_bytes();
  plan.group_bytes = arenas.group.used_bytes();
  if (layout.is_on_group()) plan.context_bytes += kGpuGroupBytes;
  plan.beside_gpu_bytes = arenas.host.used_bytes();
  plan.data_bytes = data_bytes;
  plan.profile_bytes = Profiler::event_bytes(profiled, most_kernel_calls(layout));
  plan.program_bytes = program_bytes;
  return plan;
}

MemoryPlan plan_forward_memory(const DecoderShape& shape, DType dtype, int64_t data_bytes,
                               int64_t program_bytes) {
  CHECK(shape.forward_only);
  MemoryPlan plan = plan_buffers(shape, dtype);
  plan.data_bytes = data_bytes;
  plan.program_bytes = program_bytes;
  return plan;
}

MemoryPlan plan_generation_memory(const GenerationShape& shape, DType dtype, int64_t data_bytes,
                                  int64_t program_bytes) {
  const GenerationArenas arenas = measure_generation(shape);
  MemoryPlan plan = plan_of(shape.largest_pass(), arenas.decoder, shape.capacity, dtype);
  plan.cache_bytes = arenas.cache.used_bytes();
  if (!shape.gpu) plan.libraries_bytes += pass_kernel_bytes(shape);
  plan.beside_gpu_bytes = arenas.host.used_bytes();
  plan.data_bytes = data_bytes;
  plan.program_bytes = program_bytes;
  return plan;
}

}  // namespace borealis
