// Attention of bf16 by cuDNN, forward and backward, on rows as they lie between the products: the
// interleaved heads are read, and their gradients written, where they are. What it computes is
// stated in kernels/attention.h. Probabilities and score gradients are rounded to bf16 before they
// are multiplied, sums are f32.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/dtype.h"
#include "kernels/gpu_needs.h"
#include "kernels/ops.h"

namespace borealis::cuda {

// Whether cuDNN is expected to have it on the current device, or, where there is none, on an H100.
// False where the program was built without cuDNN.
bool fused_attention_takes(const AttentionShape& shape);
// Of the current device.
FusedAttentionLibrary fused_attention_library();

// Plans for one shape, made in the constructor, so that a run that cannot have them does not begin.
// Every call is queued in the stream. Errors of cuDNN and CUDA are Error(kDevice).
class FusedAttention {
 public:
  // deterministic: the backward pass gives the same bits every time; it is slower, and needs a
  // workspace in proportion to the square of T. The forward pass always does.
  // forward_only: without plans for the backward pass.
  // most_documents: of a batch. Not more than batch_size: a sequence is always one document.
  FusedAttention(const AttentionShape& shape, bool deterministic, bool forward_only,
                 int64_t most_documents, cudaStream_t stream);
  ~FusedAttention();
  FusedAttention(const FusedAttention&) = delete;
  FusedAttention& operator=(const FusedAttention&) = delete;

  // What the most demanding of the plans needs, on a multiple of 256.
  size_t workspace_bytes() const;

  // The tokens of each document of the batch, in order, for the calls that follow: read from the
  // host's memory before it returns. A sequence's end is a document's. Empty, and at the beginning:
  // every sequence is one document.
  void set_documents(std::span<const int32_t> lengths);

  // The shape of `a` is the constructor's; its document_starts are not read. lse is for the
  // backward pass of the same documents, and nobody else.
  void forward(const AttentionForward<bf16>& a, void* workspace);
  void backward(const AttentionBackward<bf16>& a, void* workspace);

 private:
  struct Plans;
  std::unique_ptr<Plans> plans_;
};

}  // namespace borealis::cuda
