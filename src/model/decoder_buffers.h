// Every byte that a forward and backward pass of the decoder touches besides the parameters, laid
// out once. Run on measuring arenas the layout is the memory plan; run on real ones it is the
// allocation.
//   B micro-batch, T tokens a sequence or of the rank's part of it, P parts, R = B T, D hidden, F
//   intermediate, H query heads, K key/value heads, C head dim, L layers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/run_config.h"
#include "kernels/attention.h"
#include "kernels/gpu_needs.h"
#include "kernels/head_loss.h"
#include "kernels/linear.h"
#include "tensor/arena.h"

namespace borealis {

struct DecoderShape {
  ModelConfig model;
  int64_t micro_batch_size = 0;  // B
  int64_t seq_length = 0;        // T
  RecomputeConfig recompute;
  ProductMode mode = ProductMode::kF32;
  int threads = 1;
  bool forward_only = false;  // no backward pass will follow: one layer's activations, no gradients
  ProductChoice products = ProductChoice::kOwnWhereTheyFit;
  std::optional<GpuProfile> gpu = {};  // none: the host
  int64_t head_rows = 0;   // on a GPU, whose logits exist at a time; 0: as many as are good
  bool documents = false;  // attention may stop at the ends of documents
  // P: ranks that share each sequence. In attention each has all tokens of its part of the heads.
  int64_t sequence_parts = 1;

  int64_t rows() const { return micro_batch_size * seq_length; }
  int64_t whole_seq_length() const { return seq_length * sequence_parts; }
  // Layers whose activations exist at a time: all, those of one recomputed segment, or one.
  int64_t slots() const;
  int64_t segments() const;  // that are recomputed from their kept input; 0 without recompute
  AttentionShape attention() const;
  HeadShape head() const;
  LinearShape qkv() const;
  LinearShape attention_output() const;
  LinearShape gate_up() const;
  LinearShape down() const;
  // The largest need, of the layers and of them and the head: kernels use the scratch one after the
  // other.
  int64_t layer_scratch_floats() const;
  // positions: of RoPE's table, where it is not as long as a sequence.
  int64_t scratch_floats(std::optional<int64_t> positions = {}) const;
  GpuOpsShape gpu_ops(std::optional<int64_t> positions = {}) const;
};

// What the forward pass of a layer leaves for its backward pass. The norms' outputs and the SwiGLU
// product are not kept: making them again costs a pass over memory, keeping them D + D + F a token.
template <typename T>
struct LayerActivations {
  T* x = nullptr;                  // [R, D] residual stream on entry
  float* inv_rms_input = nullptr;  // [R]
  T* qkv = nullptr;        // [R, (H + 2K) C], rotated; [B, P T, (H + 2K) / P C] with several parts
  T* attention = nullptr;  // [R, H C]
  T* attention_of_heads = nullptr;  // [B, P T, H / P C]; the same as attention with one part
  float* lse = nullptr;             // [B, H / P, P T]
  T* x_middle = nullptr;            // [R, D] residual stream between attention and feed-forward
  float* inv_rms_middle = nullptr;  // [R]
  T* gate_up = nullptr;             // [R, 2F]; backward overwrites it with its gradient
};

struct DecoderArenas {
  Arena activations;
  Arena working;
  Arena scratch;
  static DecoderArenas measuring() {
    return {Arena::measuring(), Arena::measuring(), Arena::measuring()};
  }
};

// What a GPU has of a batch; null pointers on the host, whose operations read the batch itself.
struct BatchOnDevice {
  int32_t* tokens = nullptr;           // [R] each
  int32_t* targets = nullptr;          //
  int32_t* positions = nullptr;        //
  int32_t* document_starts = nullptr;  //
  int32_t* slots = nullptr;            // of the tokens' rows in the embedding's gradient
};

template <typename T>
struct DecoderBuffers {
  std::vector<LayerActivations<T>> slots;
  std::vector<T*> segment_inputs;  // [R, D] each, of every segment
  T* x_final = nullptr;            // [R, D]
  float* inv_rms_final = nullptr;
  T* normed = nullptr;  // [R, D] output of the norm in use
  T* branch = nullptr;  // [R, D] what a branch adds, or the gradient of its input
  T* wide = nullptr;    // [R, max(F, H C)] SwiGLU output, its gradient, or that of attention
  // Of a backward pass only:
  T* dx = nullptr;    // [R, D] gradient of the residual stream
  T* dqkv = nullptr;  // [R, (H + 2K) C]
  float* norm_scratch = nullptr;
  T* exchanged = nullptr;  // [R, (H + 2K) C] what is on its way between the parts, with several
  float* scratch = nullptr;
  BatchOnDevice batch;

  DecoderBuffers(const DecoderShape& shape, DecoderArenas& arenas)
      : DecoderBuffers(shape, arenas, shape.scratch_floats()) {}
  DecoderBuffers(const DecoderShape& shape, DecoderArenas& arenas, int64_t scratch_floats);
};

}  // namespace borealis
