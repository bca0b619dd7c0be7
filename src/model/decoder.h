// The decoder: pre-norm, RMSNorm, RoPE (or none, per layer), grouped-query attention, SwiGLU, tied
// or untied head (contract section 2; Touvron et al. 2023). Explicit forward and backward, no
// autograd: the backward pass mirrors the forward pass line by line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "data/batch.h"
#include "kernels/backend.h"
#include "kernels/linear.h"
#include "kernels/rope.h"
#include "model/decoder_buffers.h"
#include "parallel/sequence_exchange.h"
#include "telemetry/profiler.h"
#include "tensor/parameter_buffers.h"
#include "tensor/unit_flow.h"

namespace borealis {

struct PassTimes {
  double forward_ms = 0;        // embedding and layers
  double backward_ms = 0;       // head with its loss (both directions in one, by chunks), layers
  double communication_ms = 0;  // waiting for other ranks, in neither of these
};

// What a trainer needs of a model, whatever its storage type.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  // Sum over the batch's tokens that have a target of the cross entropy. The gradients of
  // loss_scale * (that sum) replace the parameters' gradients or, where they shall accumulate, add
  // to them. Not of a model whose shape is forward_only.
  virtual double forward_backward(const Batch& batch, float loss_scale, bool accumulate,
                                  PassTimes& times) = 0;
  virtual double forward(const Batch& batch) = 0;
  // logits [B T, V] f32 of the batch, for tests and scoring.
  virtual void logits(const Batch& batch, float* logits) = 0;  // of the host's
  // The largest part of the model's memory whose contents no later call needs.
  virtual std::span<std::byte> idle_memory() = 0;
};

// The parameters' buffers, which are of the backend's device, stay the caller's; activations are
// allocated there, of exactly the sizes that plan_memory states. profiler: records the calls of
// step_kernels(). flow: makes the parameters' units whole while they are used. exchange: with the
// ranks that have the other parts of the sequences. All three may be null, else must outlive the
// model, as the backend must, which shape.gpu is of.
std::unique_ptr<LanguageModel> make_language_model(const DecoderShape& shape,
                                                   const ParameterBuffers& parameters,
                                                   Profiler* profiler = nullptr,
                                                   UnitFlow* flow = nullptr,
                                                   Backend& backend = cpu_backend(),
                                                   SequenceExchange* exchange = nullptr);

// Where a layer's matrices start in the flat buffers, and whether it turns queries and keys.
struct LayerOffsets {
  int64_t input_norm, qkv, attention_output, middle_norm, gate_up, down;
  bool has_rope;
};
// Those of all layers and what is around them; a tied head is the embedding.
struct DecoderOffsets {
  int64_t embedding, final_norm, head;
  std::vector<LayerOffsets> layers;
};
DecoderOffsets decoder_offsets(const ModelConfig& model, const ParameterTable& table);

RopeTable make_rope_table(const ModelConfig& model, int64_t seq_length, DType dtype);

}  // namespace borealis
