// What the operations need of a GPU's memory besides their operands: arithmetic alone, so that any
// machine can plan for any GPU (design D13).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/dtype.h"
#include "base/rounding.h"
#include "kernels/attention.h"

namespace borealis {

// With more documents in a batch than this, the plain kernel computes its attention.
inline constexpr int64_t kMostFusedDocuments = 256;

// What cuDNN's attention needs, by the passes that it is planned for.
struct FusedAttentionNeeds {
  AttentionShape shape;
  bool forward_only = false;
  bool documents = false;  // sequences may hold several
};

// A GPU as plans know it: one that is there, or one that is named.
struct GpuProfile {
  std::string name;           // "NVIDIA H100 80GB HBM3"
  int multiprocessors = 0;    //
  int64_t memory_bytes = 0;   // of the device, or of it what one of several ranks may use
  int64_t context_bytes = 0;  // that driver and libraries take of it
  int64_t ranks = 1;          // of this host that compute on the device
  bool has_group = false;     // it is one rank's, and NCCL is there: ranks exchange without hosts
  bool deterministic = true;  // the attention's gradients have the same bits in every run
  bool has_fused_attention = true;
  // Bytes, as the device's library says; null: by a formula of what was measured (cuDNN 9.14, H100,
  // heads of 64 to 128).
  std::function<int64_t(const FusedAttentionNeeds&)> fused_attention_bytes = {};
};

// The largest sizes of the calls to come.
struct GpuOpsShape {
  int64_t micro_batch_size = 0;
  int64_t seq_length = 0;
  int64_t hidden_size = 0;
  int64_t num_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t rope_positions = 0;
  int64_t head_rows = 0;  // whose logits are held at a time, of both directions
  bool forward_only = false;
  bool documents = false;
  bool fused_attention = true;  // where it can be

  int64_t rows() const { return micro_batch_size * seq_length; }
  FusedAttentionNeeds attention() const {
    return {{micro_batch_size, seq_length, num_heads, num_key_value_heads, head_dim},
            forward_only,
            documents};
  }
};

// What NCCL takes of a GPU that is joined with others: 2.28 took as much on an H100, as one rank.
inline constexpr int64_t kGpuGroupBytes = int64_t{586} << 20;

inline constexpr int64_t kGpuAlignment = 256;
inline constexpr int64_t kGpuProductWorkspaceBytes = int64_t{64} << 20;
constexpr int64_t gpu_aligned(int64_t bytes) { return round_up(bytes, kGpuAlignment); }
// Rows of partial sums of a norm's weight gradient.
constexpr int64_t gpu_norm_partial_rows(int multiprocessors) {
  return 2 * int64_t{multiprocessors};
}
// For sorting the tokens of a pass: keys and values before and after, and cub's counters, of which
// it asks for less.
constexpr int64_t gpu_embedding_workspace_bytes(int64_t rows) {
  return 5 * gpu_aligned(rows * 4) + (int64_t{2} << 20);
}
// By the formula of what was measured, for plans of a GPU that is not here.
int64_t measured_fused_attention_bytes(const FusedAttentionNeeds& needs, bool deterministic);
// What makes plans for the attention of a GPU that is here, and for which.
struct FusedAttentionLibrary {
  int64_t cudnn_version = 0;   // as cudnnGetVersion() has it: 91400 is 9.14.0
  int compute_capability = 0;  // 90 is 9.0, an H100's
};
// Whether the formula was measured for the like: another version may want more, which only its own
// plan tells.
bool is_measured(const FusedAttentionNeeds& needs, const FusedAttentionLibrary& library);
// 0 where cuDNN has no part in it.
int64_t fused_attention_bytes(const GpuOpsShape& shape, DType dtype, const GpuProfile& gpu);

int64_t gpu_ops_bytes(const GpuOpsShape& shape, DType dtype, const GpuProfile& gpu);

// Of the norm of the gradients and AdamW. table_rows: of an embedding whose gradient is kept by
// rows, or 0.
inline constexpr int64_t kGpuElementsOfPartialSum = 65536;
struct GpuOptimizerShape {
  int64_t largest_sum = 0;  // elements whose squares are added up in one call
  int64_t table_rows = 0;
  int64_t most_rows = 0;  // of them that have a gradient
  int64_t partial_sums() const;
};
inline constexpr int64_t kGpuMostSums = 4096;  // that are there before the host waits for them
int64_t gpu_optimizer_bytes(const GpuOptimizerShape& shape);

}  // namespace borealis
