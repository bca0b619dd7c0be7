// How long an optimizer step takes on a machine, by arithmetic:
//
//   t = sum_i units_i * seconds_i + communication
//
// over five terms, each a count of work that follows from the shapes and a constant of the machine:
//
//   products    6 g B T [L (2 D Q + 2 D R + 3 D F) + V D] FLOPs, the matrix products of forward and
//               backward; Q = H C, R = K C
//   attention   12 g B T L Q T FLOPs, counted over the full square as in the LM formula, so a
//   kernel
//               that leaves out what is masked has a higher rate
//   traffic     bytes between memory and the kernels, those of the products' operands included:
//                 g { L B T (c_D D + c_Q (Q + 2 R) + c_F F) + c_V B T V         element by element
//                     + sum over products of [3 e (B T k + B T n) + (2 e + c_G) k n] }   k -> n
//               e: bytes of an element; c: what a stack's kernels move (stack_traffic). This is
//               why small widths are slower: their products move more bytes a FLOP.
//               A layer whose forward pass is run again adds a third of its products and bytes,
//               and 2/7 of its attention (two of the seven products of a flash attention).
//   parameters  N: AdamW, norm, casts; what a step does once a parameter
//   steps       1: what a step costs whatever its size
//
// and communication as in communication_seconds. Left out: overlap of communication and backward,
// load imbalance, input, validation and saving, rates that depend on the shape beyond the traffic
// of operands, causal blocks (attention is linear in T here), pipelines, tensor parallelism.
//
// B micro-batch, T sequence, D hidden, H query heads, K key/value heads, C head dim, F
// intermediate, V vocabulary, L layers, g micro-batches a step.
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
  DType dtype = DType::kBF16;
  int64_t recompute_segment = 0;  // layers that are recomputed together; 0: activations are kept
  int64_t zero_stage = 0;
  DType grad_reduce_dtype = DType::kF32;  // of Borealis
  int64_t hosts = 1;
  int64_t ranks_per_host = 1;

  int64_t ranks() const { return hosts * ranks_per_host; }
  double tokens() const;  // of a rank
};
StepShape step_shape(const RunConfig& config, int64_t hosts, int64_t ranks_per_host);

// Bytes that a stack's kernels move, counted kernel by kernel (docs/planner.md): c_D, c_Q, c_F, c_V
// for elements of two bytes, and c_G, gradients a micro-batch and parameter.
struct StackTraffic {
  double hidden = 0, attention = 0, intermediate = 0, vocabulary = 0, gradient = 0;
};
StackTraffic stack_traffic(TrainingStack stack);

StepVector step_units(const StepShape& shape, TrainingStack stack);

enum class AllReduce {
  kFlat,          // to one rank, and from it to all
  kRing,          // one ring through all ranks
  kHierarchical,  // reduce-scatter within a host, all-reduce between hosts, all-gather within
};
std::string_view all_reduce_name(AllReduce kind);  // "flat", "ring", "hierarchical"

struct Links {
  double within_host_bytes_per_s = 0;  // of a rank, each way
  double within_host_latency_s = 0;
  double between_hosts_bytes_per_s = 0;  // of a host, each way; its ranks share it
  double between_hosts_latency_s = 0;
  AllReduce all_reduce = AllReduce::kHierarchical;
};

// Of S bytes on every rank, n hosts of r ranks, W = n r; b, l of the links:
//   flat          2 (W-1) S / b + 2 (W-1) l                the slower link's b and l, if n > 1
//   ring          2 (W-1)/W S / b + 2 (W-1) l              the same
//   hierarchical  2 (r-1)/r S / b_in + 2 (r-1) l_in + 2 (n-1)/n S / b_out + 2 (n-1) l_out
double all_reduce_seconds(const Links& links, double bytes, int64_t hosts, int64_t ranks_per_host);

// What a stack exchanges in a step; a reduce-scatter and an all-gather are half an all-reduce each.
//   borealis            ZeRO 0: all-reduce of gradients. 1: their reduce-scatter, and an
//                       all-gather of the weights. 2: the reduce-scatter once a micro-batch.
//                       3: and in each two all-gathers of the weights, three with recompute
//   megatron-deepspeed  all-reduce of bf16 gradients, and an all-gather of the bf16 weights, since
//                       optimizer state is split over the ranks at every ZeRO stage; ZeRO 3 gathers
//                       the weights twice more in every micro-batch
double communication_seconds(const StepShape& shape, TrainingStack stack, const Links& links);

}  // namespace borealis
