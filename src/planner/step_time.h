// How long an optimizer step takes on a machine, by arithmetic:
//
//   t = sum_i units_i * seconds_i + communication
//
// over five terms, each a count of work that follows from the shapes and a constant of the machine:
//
//   products    6 g t [L (2 D Q + 2 D R + 3 D F) + V D] FLOPs, the matrix products of forward and
//               backward; t = B T / P tokens of a rank, Q = H C, R = K C
//   attention   12 g t L Q T FLOPs, counted over the full square as in the LM formula, so a kernel
//               that leaves out what is masked has a higher rate
//   traffic     bytes between memory and the kernels, those of the products' operands included:
//                 g { L t (c_D D + c_Q (Q + 2 R) + c_F F) + c_V t V             element by element
//                     + sum over products of [3 e (t k + t n) + (2 e + c_G) k n] }   k -> n
//               Where P > 1, a layer's QKV and attention are copied into blocks or out of them in
//               both directions: 8 e t (Q + R) more
//               e: bytes of an element; c: what a stack's kernels move (stack_traffic). This is
//               why small widths are slower: their products move more bytes a FLOP.
//               A layer whose forward pass is run again adds a third of its products and bytes,
//               and 2/7 of its attention (two of the seven products of a flash attention).
//   parameters  N: AdamW, norm, casts; what a step does once a parameter. Of our own program's
//               W ranks each has its shard's, N / W, from ZeRO stage 1 on
//   steps       1: what a step costs whatever its size
//
// and communication (planner/communication.h). Left out: load imbalance, input, validation and
// saving, rates that depend on the shape beyond the traffic of operands, causal blocks (attention
// is linear in T here), pipelines, tensor parallelism.
//
// B micro-batch, T sequence, P ranks that share one (SP), D hidden, H query heads, K key/value
// heads, C head dim, F intermediate, V vocabulary, L layers, g micro-batches a step.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/run_config.h"

namespace borealis {

// Whose kernels, collectives and memory: the constants of a machine hold for one of them.
enum class TrainingStack {
  kBorealis,
  kMegatronDeepSpeed,  // the reference trainer on PyTorch, eager, without fused kernels
};
std::string_view training_stack_name(TrainingStack stack);  // "borealis", "megatron-deepspeed"

inline constexpr size_t kStepTerms = 5;
enum StepTerm : size_t { kProducts, kAttention, kTraffic, kParameters, kSteps };
using StepVector = std::array<double, kStepTerms>;

// What the step of a rank is made of.
struct StepShape {
  ModelConfig model;
  int64_t seq_length = 0;
  int64_t micro_batch_size = 1;
  int64_t grad_accum_steps = 1;
  int64_t sequence_parallel_size = 1;
  DType dtype = DType::kBF16;
  int64_t recompute_segment = 0;  // layers that are recomputed together; 0: activations are kept
  int64_t zero_stage = 0;
  int64_t zero_hpz_partition_size = 1;
  DType grad_reduce_dtype = DType::kF32;  // of Borealis
  int64_t hosts = 1;
  int64_t ranks_per_host = 1;

  int64_t ranks() const { return hosts * ranks_per_host; }
  double micro_batch_tokens() const;  // of a rank
  double tokens() const;
};
StepShape step_shape(const RunConfig& config, int64_t hosts, int64_t ranks_per_host);

// Bytes that a stack's kernels move, counted kernel by kernel (docs/planner.md): c_D, c_Q, c_F, c_V
// for elements of two bytes, and c_G, gradients a micro-batch and parameter.
struct StackTraffic {
  double hidden = 0, attention = 0, intermediate = 0, vocabulary = 0, gradient = 0;
};
StackTraffic stack_traffic(TrainingStack stack);

// Of a layer, and of the head with the loss, in one micro-batch: forward and backward, of which a
// third is forward.
struct PassWork {
  double product_flops = 0;
  double attention_flops = 0;
  double bytes = 0;
  double flops() const { return product_flops + attention_flops; }
};
PassWork layer_work(const StepShape& shape, TrainingStack stack);
PassWork head_work(const StepShape& shape, TrainingStack stack);
// How many layers a micro-batch runs forward once more.
double recomputed_layers(const StepShape& shape, TrainingStack stack);

StepVector step_units(const StepShape& shape, TrainingStack stack);

}  // namespace borealis
