#include "model/accounting.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

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
  return plan_of(shape, arenas, shape.whole_seq_length(), dtype);
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

namespace {

// What a class of memory is part of.
enum class Part {
  kComputing,  // the plan of the device that computes
  kHost,       // the host's plan, with a GPU and without
  kCpuAlone,   // the host's plan without a GPU
  kGpu,        // the GPU's plan
  kBesideGpu,  // the host's plan beside a GPU
};
struct PlannedClass {
  std::string_view name;
  int64_t bytes;
  Part part;
};

// All of them, the largest purposes first.
std::array<PlannedClass, 18> planned_classes(const MemoryPlan& p, DType dtype) {
  const bool narrow = dtype == DType::kBF16, generates = p.cache_bytes > 0;
  return {{
      {narrow ? "weights (bf16)" : "weights (fp32)", p.weights_bytes, Part::kComputing},
      {"gradients (fp32)", p.gradients_bytes, Part::kComputing},
      {narrow ? "optimizer: two moments, lower half of fp32 weights"
              : "optimizer: two moments (fp32)",
       p.optimizer_bytes, Part::kComputing},
      {p.forward_only ? "activations of one layer" : "activations kept for backward",
       p.activations_bytes, Part::kComputing},
      {"key/value cache", p.cache_bytes, Part::kComputing},
      {generates ? "working set of one layer, logits" : "working set of one layer", p.working_bytes,
       Part::kComputing},
      {"scratch of products, attention and logits", p.scratch_bytes, Part::kComputing},
      {"position tables", p.tables_bytes, Part::kCpuAlone},
      {generates        ? "prompts and texts"
       : p.forward_only ? "tokens of the text and batch"
                        : "sample index and batches",
       p.data_bytes, Part::kHost},
      {"buffers inside libraries", p.libraries_bytes, Part::kCpuAlone},
      {"program and shared libraries", p.program_bytes, Part::kHost},
      {"pieces of gradients between ranks", p.sums_bytes, Part::kHost},
      {"pieces of gradients between ranks", p.group_bytes, Part::kGpu},
      {"events of the profile", p.profile_bytes, Part::kHost},
      {"buffers for saving and loading", p.transfer_bytes, Part::kHost},
      {"second place for the state, to save it in the background", p.snapshot_bytes, Part::kHost},
      {"rows of the embedding, or what texts are drawn with", p.beside_gpu_bytes, Part::kBesideGpu},
      {kGpuContextClass, p.context_bytes, Part::kGpu},
  }};
}

bool is_in_total(Part part, bool on_gpu) {
  return part == Part::kComputing ||
         (on_gpu ? part == Part::kGpu : part == Part::kHost || part == Part::kCpuAlone);
}

template <typename Picks>
int64_t sum_of(const MemoryPlan& plan, Picks picks) {
  int64_t bytes = 0;
  for (const PlannedClass& entry : planned_classes(plan, DType::kF32)) {
    if (picks(entry.part)) bytes += entry.bytes;
  }
  return bytes;
}

}  // namespace

int64_t MemoryPlan::host_bytes() const {
  if (!on_gpu) return total_bytes();
  return sum_of(*this, [](Part part) { return part == Part::kHost || part == Part::kBesideGpu; });
}

int64_t MemoryPlan::total_bytes() const {
  return sum_of(*this, [this](Part part) { return is_in_total(part, on_gpu); });
}

std::vector<MemoryClass> MemoryPlan::classes(DType dtype) const {
  std::vector<MemoryClass> classes;
  for (const PlannedClass& entry : planned_classes(*this, dtype)) {
    if (entry.bytes == 0 || !is_in_total(entry.part, on_gpu)) continue;
    classes.push_back({std::string(entry.name), entry.bytes});
  }
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
