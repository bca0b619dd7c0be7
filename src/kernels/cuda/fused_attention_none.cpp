// Stands for fused_attention.cpp where there is no cuDNN to build with.
#include "base/check.h"
#include "kernels/cuda/fused_attention.h"

namespace borealis::cuda {

bool fused_attention_takes(const AttentionShape&) { return false; }

FusedAttentionLibrary fused_attention_library() { return {}; }

struct FusedAttention::Plans {};
FusedAttention::FusedAttention(const AttentionShape&, bool, bool, int64_t, cudaStream_t) {
  CHECK(false, "built without cuDNN");
}
FusedAttention::~FusedAttention() = default;
size_t FusedAttention::workspace_bytes() const { return 0; }
void FusedAttention::set_documents(std::span<const int32_t>) {}
void FusedAttention::forward(const AttentionForward<bf16>&, void*) {}
void FusedAttention::backward(const AttentionBackward<bf16>&, void*) {}

}  // namespace borealis::cuda
