// Attention's tasks with AVX512-BF16's dot products, as attention_tasks.h describes them. Only
// where bf16_attention_supported().
#pragma once

#include "kernels/cpu/attention_tasks.h"

namespace borealis::attention_bf16 {

using ForwardJob = AttentionForwardJob<bf16>;
using BackwardJob = AttentionBackwardJob<bf16>;

constexpr int64_t kQueryBlock = 64;
constexpr int64_t kBackwardKeys = 128;  // keys whose dK and dV are in cache

int64_t packed_floats(const AttentionShape& shape);
int64_t forward_floats(const AttentionShape& shape);
int64_t backward_floats(const AttentionShape& shape);
void pack(const ForwardJob& job, int64_t b, int64_t kv_head, int64_t block, float* packed);
void forward_task(const ForwardJob& job, int64_t b, int64_t head, int64_t block,
                  const float* packed, float* scratch);
void backward_task(const BackwardJob& job, int64_t b, int64_t head, const KeyGradientTurns& turns,
                   float* scratch);

}  // namespace borealis::attention_bf16
