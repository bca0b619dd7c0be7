#include "model/decoder_buffers.h"

#include <algorithm>

#include "base/rounding.h"
#include "kernels/rms_norm.h"

namespace borealis {
namespace {

// The head's weight gradients are read and written once for so many rows: fewer cost time, more
// gain nothing that could be measured.
constexpr int64_t kMostGpuHeadRows = 8192;

}  // namespace

int64_t DecoderShape::slots() const {
  if (forward_only) return 1;
  if (!recompute.enabled) return model.num_hidden_layers;
  return std::min(recompute.layers_per_segment, model.num_hidden_layers);
}

int64_t DecoderShape::segments() const {
  if (forward_only || !recompute.enabled) return 0;
  return divide_up(model.num_hidden_layers, slots());
}

AttentionShape DecoderShape::attention() const {
  return {micro_batch_size, whole_seq_length(), model.num_attention_heads / sequence_parts,
          model.num_key_value_heads / sequence_parts, model.head_dim};
}

HeadShape DecoderShape::head() const { return {rows(), model.hidden_size, model.vocab_size}; }

LinearShape DecoderShape::qkv() const {
  return {rows(), model.query_size() + 2 * model.key_value_size(), model.hidden_size};
}
LinearShape DecoderShape::attention_output() const {
  return {rows(), model.hidden_size, model.query_size()};
}
LinearShape DecoderShape::gate_up() const {
  return {rows(), 2 * model.intermediate_size, model.hidden_size};
}
LinearShape DecoderShape::down() const {
  return {rows(), model.hidden_size, model.intermediate_size};
}

int64_t DecoderShape::layer_scratch_floats() const {
  const auto attention_floats = [this]<typename T>(T) {
    const int64_t forward = attention_forward_scratch_floats<T>(attention(), threads);
    if (forward_only) return forward;
    return std::max(forward, attention_backward_scratch_floats<T>(attention(), threads));
  };
  return std::max({mode == ProductMode::kF32 ? attention_floats(float()) : attention_floats(bf16()),
                   linear_scratch_floats(mode, qkv(), products),
                   linear_scratch_floats(mode, attention_output(), products),
                   linear_scratch_floats(mode, gate_up(), products),
                   linear_scratch_floats(mode, down(), products)});
}

GpuOpsShape DecoderShape::gpu_ops(std::optional<int64_t> positions) const {
  const int64_t most = mode == ProductMode::kF32 ? kMostGpuHeadRows / 2 : kMostGpuHeadRows;
  return {.micro_batch_size = micro_batch_size,
          .seq_length = seq_length,
          .hidden_size = model.hidden_size,
          .num_heads = model.num_attention_heads,
          .num_key_value_heads = model.num_key_value_heads,
          .head_dim = model.head_dim,
          .vocab_size = model.vocab_size,
          .rope_positions = positions.value_or(seq_length),
          .head_rows = std::min(rows(), head_rows > 0 ? head_rows : most),
          .forward_only = forward_only,
          .documents = documents,
          .fused_attention = !gpu || gpu->has_fused_attention};
}

int64_t DecoderShape::scratch_floats(std::optional<int64_t> positions) const {
  if (gpu) {
    const DType dtype = mode == ProductMode::kF32 ? DType::kF32 : DType::kBF16;
    return (gpu_ops_bytes(gpu_ops(positions), dtype, *gpu) + 3) / 4;
  }
  return std::max({layer_scratch_floats(),
                   forward_only ? 0 : head_scratch_floats(mode, head(), products),
                   head_forward_scratch_floats(mode, head(), products)});
}

template <typename T>
DecoderBuffers<T>::DecoderBuffers(const DecoderShape& shape, DecoderArenas& arenas,
                                  int64_t scratch_floats) {
  const ModelConfig& model = shape.model;
  const int64_t R = shape.rows(), D = model.hidden_size, F = model.intermediate_size;
  const int64_t qkv_size = shape.qkv().out_features;
  Arena& kept = arenas.activations;
  for (int64_t slot = 0; slot < shape.slots(); ++slot) {
    LayerActivations<T> layer;
    layer.x = kept.take<T>(R * D);
    layer.inv_rms_input = kept.take<float>(R);
    layer.qkv = kept.take<T>(R * qkv_size);
    layer.attention = kept.take<T>(R * model.query_size());
    layer.attention_of_heads =
        shape.sequence_parts > 1 ? kept.take<T>(R * model.query_size()) : layer.attention;
    layer.lse = kept.take<float>(R * model.num_attention_heads);
    layer.x_middle = kept.take<T>(R * D);
    layer.inv_rms_middle = kept.take<float>(R);
    layer.gate_up = kept.take<T>(R * 2 * F);
    slots.push_back(layer);
  }
  for (int64_t i = 0; i < shape.segments(); ++i) segment_inputs.push_back(kept.take<T>(R * D));
  x_final = kept.take<T>(R * D);
  inv_rms_final = kept.take<float>(R);

  normed = arenas.working.take<T>(R * D);
  branch = arenas.working.take<T>(R * D);
  wide = arenas.working.take<T>(R * std::max(F, model.query_size()));
  if (!shape.forward_only) {
    dx = arenas.working.take<T>(R * D);
    dqkv = arenas.working.take<T>(R * qkv_size);
    if (!shape.gpu) {
      norm_scratch = arenas.working.take<float>(rms_norm_backward_scratch_floats(D));
    }
  }
  if (shape.sequence_parts > 1) exchanged = arenas.working.take<T>(R * qkv_size);
  if (shape.gpu) {
    for (int32_t** of_rows :
         {&batch.tokens, &batch.targets, &batch.positions, &batch.document_starts, &batch.slots}) {
      *of_rows = arenas.working.take<int32_t>(R);
    }
  }
  scratch = arenas.scratch.take<float>(scratch_floats);
}

template struct DecoderBuffers<float>;
template struct DecoderBuffers<bf16>;

}  // namespace borealis
