// What a model amounts to, by arithmetic alone: parameters, FLOPs per token, bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "config/run_config.h"
#include "kernels/linear.h"
#include "model/generation_buffers.h"
#include "model/run_layout.h"
#include "telemetry/profiler.h"
#include "telemetry/run_summary.h"

namespace borealis {

// N = V D (1 or, untied, 2) + L (2 D H C + 2 D K C + 3 D F + 2 D) + D  (contract section 2.6).
int64_t parameter_count(const ModelConfig& model);

// The reference's language-model formula, forward and backward, per token (contract section 6.2):
//   6 [L (2 D H C + 2 D K C + 3 D F + 2 H C T) + V D]
// Attention is counted over the full square of the sequence, recomputation is not counted.
double flops_per_token(const ModelConfig& model, int64_t seq_length);
inline constexpr const char* kFlopsFormulaName = "LM formula of Megatron-DeepSpeed";
inline constexpr const char* kFlopsFormula = "F = 6 [L (2had + 2hkd + 3hf + 2ads) + Vh]";

// How much memory a run needs, class by class. Arenas are made of exactly these numbers. Of a run
// on a GPU the total and the classes are the GPU's memory; what the host has beside it is
// host_bytes().
struct MemoryPlan {
  int64_t weights_bytes = 0;
  int64_t gradients_bytes = 0;
  int64_t optimizer_bytes = 0;
  int64_t sums_bytes = 0;   // pieces of gradients on their way between ranks
  int64_t group_bytes = 0;  // the same on GPUs that exchange without their hosts
  int64_t activations_bytes = 0;
  int64_t cache_bytes = 0;  // keys and values of texts that are generated
  int64_t working_bytes = 0;
  int64_t scratch_bytes = 0;
  int64_t tables_bytes = 0;      // RoPE
  int64_t data_bytes = 0;        // sample index and batches, or texts
  int64_t profile_bytes = 0;     // events of --profile
  int64_t transfer_bytes = 0;    // buffers between memory and a checkpoint's files
  int64_t snapshot_bytes = 0;    // a save in the background: copied weights, second place of state
  int64_t libraries_bytes = 0;   // what oneDNN packs, and the stacks of its threads
  int64_t program_bytes = 0;     // resident before anything was allocated
  int64_t context_bytes = 0;     // that driver and libraries take of a GPU
  int64_t beside_gpu_bytes = 0;  // host: the embedding's rows, or what texts are drawn with
  bool on_gpu = false;
  bool forward_only = false;  // the classes are named accordingly

  int64_t total_bytes() const;
  int64_t host_bytes() const;  // the same without a GPU
  // With names, largest purpose first; those without a byte left out.
  std::vector<MemoryClass> classes(DType dtype) const;
};

// The class that a plan has on a GPU alone.
inline constexpr const char* kGpuContextClass = "context of the GPU and libraries";

// profiled: the steps whose kernels are timed (step_kernels.h).
MemoryPlan plan_memory(const RunLayout& layout, ProfiledSteps profiled, int64_t data_bytes,
                       int64_t program_bytes);
// Of a model that generates: data_bytes are those of prompts and texts.
MemoryPlan plan_generation_memory(const GenerationShape& shape, DType dtype, int64_t data_bytes,
                                  int64_t program_bytes);
// Of a model that only looks at texts: weights, and the buffers of a forward pass of `shape`.
MemoryPlan plan_forward_memory(const DecoderShape& shape, DType dtype, int64_t data_bytes,
                               int64_t program_bytes);

}  // namespace borealis
