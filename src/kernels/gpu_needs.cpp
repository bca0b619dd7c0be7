#include "kernels/gpu_needs.h"

#include <algorithm>

namespace borealis {
namespace {

constexpr int64_t kLargestFusedHead = 256;
constexpr int64_t kSlack = int64_t{2} << 20;

}  // namespace

// cuDNN 9.14 keeps, backward, the gradients of the queries in f32 and those of the keys and values
// head by head in bf16; to add up in a fixed order, the former once for every 256 tokens of a
// sequence, in heads of 128. With documents, whose plans are ragged, more of it.
int64_t measured_fused_attention_bytes(const FusedAttentionNeeds& needs, bool deterministic) {
  if (needs.forward_only) return kSlack;
  const AttentionShape& s = needs.shape;
  const int64_t heads = s.batch_size * s.num_heads * s.seq_length;
  const int64_t keys_and_values = 2 * heads * s.head_dim * 2;
  const int64_t queries = heads * s.head_dim * 4;
  const int64_t in_order =
      heads * std::max<int64_t>(128, s.head_dim) * 4 * std::max<int64_t>(1, s.seq_length / 256);
  const int64_t dense = (deterministic ? in_order : queries) + keys_and_values + kSlack;
  if (!needs.documents) return dense;
  return deterministic ? dense + dense / 4 : 6 * (queries + keys_and_values);
}

bool is_measured(const FusedAttentionNeeds& needs, const FusedAttentionLibrary& library) {
  constexpr int64_t kMeasuredVersion = 914;  // without the patch
  constexpr int kMeasuredCapability = 90;
  return library.cudnn_version / 100 == kMeasuredVersion &&
         library.compute_capability == kMeasuredCapability && !needs.documents &&
         needs.shape.head_dim >= 64 && needs.shape.head_dim <= 128 &&
         needs.shape.seq_length % 256 == 0;
}

int64_t fused_attention_bytes(const GpuOpsShape& shape, DType dtype, const GpuProfile& gpu) {
  const bool takes = dtype == DType::kBF16 && gpu.has_fused_attention && shape.fused_attention &&
                     shape.head_dim % 8 == 0 && shape.head_dim <= kLargestFusedHead;
  if (!takes) return 0;
  const FusedAttentionNeeds needs = shape.attention();
  return gpu.fused_attention_bytes ? gpu.fused_attention_bytes(needs)
                                   : measured_fused_attention_bytes(needs, gpu.deterministic);
}

int64_t gpu_ops_bytes(const GpuOpsShape& s, DType dtype, const GpuProfile& gpu) {
  const auto width = static_cast<int64_t>(dtype_bytes(dtype));
  int64_t bytes = kGpuProductWorkspaceBytes + gpu_aligned(s.head_rows * s.vocab_size * width) +
                  gpu_aligned(s.head_rows * 4) + gpu_aligned(8) +
                  2 * gpu_aligned(s.rope_positions * s.head_dim / 2 * 4) +
                  gpu_aligned(fused_attention_bytes(s, dtype, gpu));
  if (!s.forward_only) {
    bytes += gpu_aligned(gpu_norm_partial_rows(gpu.multiprocessors) * s.hidden_size * 4) +
             gpu_aligned(s.rows() * s.num_heads * 4) +
             gpu_aligned(gpu_embedding_workspace_bytes(s.rows()));
  }
  return bytes;
}

int64_t GpuOptimizerShape::partial_sums() const {
  return std::max(largest_sum / kGpuElementsOfPartialSum + 1, most_rows);
}

int64_t gpu_optimizer_bytes(const GpuOptimizerShape& shape) {
  return gpu_aligned(shape.partial_sums() * 8) + gpu_aligned(kGpuMostSums * 8) +
         gpu_aligned(shape.table_rows * 4) + gpu_aligned(shape.table_rows);
}

}  // namespace borealis
