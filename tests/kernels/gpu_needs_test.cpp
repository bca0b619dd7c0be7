#include "kernels/gpu_needs.h"

#include <gtest/gtest.h>

namespace borealis {
namespace {

constexpr FusedAttentionLibrary kMeasured = {.cudnn_version = 91400, .compute_capability = 90};

FusedAttentionNeeds needs_of(int64_t head_dim) {
  return {.shape = {.batch_size = 1,
                    .seq_length = 8192,
                    .num_heads = 24,
                    .num_key_value_heads = 8,
                    .head_dim = head_dim}};
}

// Another cuDNN, or another card, may want more than the formula has, and a run would not begin.
TEST(GpuNeedsTest, AttentionIsPlannedByTheFormulaWhereItWasMeasured) {
  EXPECT_TRUE(is_measured(needs_of(128), kMeasured));
  EXPECT_TRUE(is_measured(needs_of(64), {.cudnn_version = 91401, .compute_capability = 90}));
  EXPECT_FALSE(is_measured(needs_of(128), {.cudnn_version = 91300, .compute_capability = 90}));
  EXPECT_FALSE(is_measured(needs_of(128), {.cudnn_version = 91900, .compute_capability = 90}));
  EXPECT_FALSE(is_measured(needs_of(128), {.cudnn_version = 91400, .compute_capability = 80}));
  EXPECT_FALSE(is_measured(needs_of(128), {.cudnn_version = 91400, .compute_capability = 100}));
  EXPECT_FALSE(is_measured(needs_of(128), {}));
  EXPECT_FALSE(is_measured(needs_of(256), kMeasured));
  FusedAttentionNeeds documents = needs_of(128);
  documents.documents = true;
  EXPECT_FALSE(is_measured(documents, kMeasured));
}

// A GPU that is here says it by its library, whatever the formula has; one that is not, by that.
TEST(GpuNeedsTest, OfAnotherMachineTheFormulaIsAsked) {
  const GpuOpsShape shape = {.micro_batch_size = 1,
                             .seq_length = 8192,
                             .num_heads = 24,
                             .num_key_value_heads = 8,
                             .head_dim = 128};
  GpuProfile gpu;
  EXPECT_EQ(fused_attention_bytes(shape, DType::kBF16, gpu),
            measured_fused_attention_bytes(shape.attention(), /*deterministic=*/true));
  gpu.fused_attention_bytes = [](const FusedAttentionNeeds&) { return int64_t{12345}; };
  EXPECT_EQ(fused_attention_bytes(shape, DType::kBF16, gpu), 12345);
  EXPECT_EQ(fused_attention_bytes(shape, DType::kF32, gpu), 0);
}

}  // namespace
}  // namespace borealis
