// What a rank's memory holds under a training stack, class by class.
#pragma once

#include <cstdint>
#include <vector>

#include "config/run_config.h"
#include "planner/machine_model.h"
#include "telemetry/run_summary.h"

namespace borealis {

// borealis: the plan that its arenas are made of (model/accounting.h), as laid out for this
// machine's kernels and `threads`.
//
// megatron-deepspeed: counted from the reference's code paths in bf16 (trainer-contract, 3.1):
//   weights            2 N, with ZeRO 3 over W
//   gradients          2 N of autograd, with ZeRO 2 and 3 over W; at ZeRO 0 besides 4 N, the f32
//                      sums over micro-batches
//   optimizer          12 N / W: f32 weights and two moments, split over the ranks at every stage
//   activations        24 D + 10 Q + 8 F bytes a token and layer: what autograd keeps of norms in
//                      f32, rotated and repeated heads, and an eager SwiGLU; with recompute 2 D,
//                      and one layer's whole
//   logits             10 bytes a token and vocabulary entry: bf16 logits, f32 probabilities and
//                      their f32 gradient, which exist at once
//
// Besides these the machine's reserve, of which ranks of CPUs that may use a part of their memory
// (MEMORY_LIMIT) have as large a part: there it is of the host. Of kinds without a byte nothing is
// listed.
std::vector<MemoryClass> rank_memory(const RunConfig& config, const MachineModel& machine,
                                     int64_t hosts, int64_t ranks_per_host, int threads);

// What a rank may use: its memory, or MEMORY_LIMIT if that is less.
int64_t rank_limit_bytes(const RunConfig& config, const MachineModel& machine,
                         int64_t ranks_per_host);

int64_t total_bytes(const std::vector<MemoryClass>& classes);

}  // namespace borealis
