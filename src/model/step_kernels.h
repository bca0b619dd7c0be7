// The kernels of a training step by name, with what one call of each computes and moves: the rows
// of `train --profile`. Attention is counted as the causal half that is computed, not as the square
// of the TFLOPs formula.
#pragma once

#include <cstdint>
#include <vector>

#include "config/run_config.h"
#include "model/run_layout.h"
#include "telemetry/profiler.h"

namespace borealis {

enum class StepKernel : int {
  kClearGradients,
  kNextBatch,
  kEmbedding,
  kRmsNorm,
  kAddRmsNorm,
  kQkv,
  kExchangeQkv,  // and gradients; this and the next with the ranks that share the sequences
  kAttention,
  kExchangeAttention,
  kAttentionOutput,
  kGateUp,
  kSwiglu,
  kDown,
  kAdd,
  kKeepInput,  // of a segment that is recomputed
  kHeadLoss,
  kClearResidual,
  kRmsNormBackward,
  kDownWeight,
  kDownInput,
  kSwigluBackward,
  kGateUpWeight,
  kGateUpInput,
  kAttentionOutputWeight,
  kAttentionOutputInput,
  kAttentionBackward,
  kRopeBackward,
  kQkvWeight,
  kQkvInput,
  kEmbeddingBackward,
  kGradNorm,
  kAdamW,
  kSumGradients,  // these three are exchanges with other ranks, beside the kernels
  kSumEmbeddingRows,
  kGatherWeights,
  kCount,
};

// In the order of StepKernel. Bytes are the least that a call can move; those of weight gradients
// the mean over a step's micro-batches, of which the first replaces and the others add.
std::vector<KernelInfo> step_kernels(const RunLayout& layout);

// An upper bound of the calls in one step.
int64_t most_kernel_calls(const RunLayout& layout);

// The iterations that config.profile asks for and the run reaches; first == end without a profile.
ProfiledSteps profiled_steps(const RunConfig& config);

inline KernelScope kernel_scope(Profiler* profiler, StepKernel kernel) {
  return {profiler, static_cast<int>(kernel)};
}

}  // namespace borealis
