// How long the ranks of a step wait for each other's data, by arithmetic.
#pragma once

#include <cstdint>
#include <string_view>

#include "planner/step_time.h"

namespace borealis {

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

// Ranks that share sequences, P neighbours of which m are on a host, exchange S bytes that each
// has: it keeps a P-th and sends as much to every other.
//   (m-1) (S / P / b_in + l_in) + (P-m) (r S / P / b_out + l_out)
double exchange_seconds(const Links& links, double bytes, int64_t parts, int64_t ranks_per_host);

// What a step of the stack waits for, whose forward and backward passes take passes_s; a
// reduce-scatter and an all-gather are half an all-reduce each. 0 with one rank.
//
//   borealis            The exchange goes on beside the passes; what of it is left when they end,
//                       and what they have to wait for, counts. A unit (embedding, layer, head)
//                       sums its gradients behind its own backward pass, behind those before it:
//                         ZeRO 0  all-reduce, in the last micro-batch
//                         1       reduce-scatter, in the last micro-batch
//                         2, 3    reduce-scatter, in every one
//                       The embedding's come last: where the head is a matrix of its own, only the
//                       rows that some rank's tokens touch, once a step. ZeRO 1 and 2 gather the
//                       weights behind the update, from the embedding to the head, and the next
//                       forward pass waits for each. ZeRO 3 gathers a unit from when the one before
//                       it begins, unless it is still in its place (the last two layers, the head
//                       or embedding); with hpZ, from the second time in a step on, among the ranks
//                       of a secondary shard. The link carries one at a time. GPUs are taken to
//                       exchange by themselves: where ranks share one, or there is no NCCL, all of
//                       it comes behind the passes, through the host (parallel/device_exchange.h),
//                       which no machine file describes.
//   megatron-deepspeed  beside nothing: all-reduce of bf16 gradients, and an all-gather of the bf16
//                       weights, since optimizer state is split over the ranks at every ZeRO stage;
//                       ZeRO 3 gathers the weights twice more in every micro-batch
//
// With sequence parallelism both exchange, beside nothing, each layer's QKV and attention in both
// directions of every micro-batch, and in the forward direction of what is recomputed.
double communication_seconds(const StepShape& shape, TrainingStack stack, const Links& links,
                             double passes_s);

}  // namespace borealis
