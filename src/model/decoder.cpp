#include "model/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/head_loss.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "telemetry/stopwatch.h"

namespace borealis {
namespace {

template <typename T>
class Decoder : public LanguageModel {
 public:
  Decoder(const DecoderShape& shape, const ParameterBuffers& parameters)
      : shape_(shape),
        parameters_(parameters),
        offsets_(layer_offsets(*parameters.table, shape.model.num_hidden_layers)),
        embedding_(parameters.table->at("model.embed_tokens.weight").offset),
        final_norm_(parameters.table->at("model.norm.weight").offset),
        head_(shape.model.tie_word_embeddings ? embedding_
                                              : parameters.table->at("lm_head.weight").offset),
        rope_(make_rope_table(shape.model, shape.seq_length, parameters.dtype)),
        arenas_(allocate(shape)),
        buffers_(shape, arenas_),
        linear_(shape.mode, buffers_.scratch) {}

  double forward_backward(const Batch& batch, float loss_scale, PassTimes& times) override {
    {
      const TimedScope timed(times.forward_ms);
      forward_layers(batch);
    }
    const TimedScope timed(times.backward_ms);
    const double loss =
        head_loss_forward_backward(linear_, shape_.head(), head_operands(batch), loss_scale,
                                   buffers_.branch, gradient(head_), buffers_.scratch);
    fill_zero(buffers_.dx, sizeof(T) * static_cast<size_t>(rows() * hidden()));
    rms_norm_backward(buffers_.branch, buffers_.x_final, weight(final_norm_),
                      buffers_.inv_rms_final, rows(), hidden(), buffers_.dx, gradient(final_norm_),
                      buffers_.norm_scratch);
    backward_layers();
    embedding_backward(batch.tokens.data(), buffers_.dx, rows(), hidden(), gradient(embedding_));
    return loss;
  }

  double forward(const Batch& batch) override {
    forward_layers(batch);
    return head_loss_forward(linear_, shape_.head(), head_operands(batch), buffers_.scratch);
  }

  void logits(const Batch& batch, float* logits) override {
    forward_layers(batch);
    head_logits(linear_, shape_.head(), buffers_.normed, weight(head_), logits, buffers_.scratch);
  }

 private:
  static DecoderArenas allocate(const DecoderShape& shape) {
    DecoderArenas measured = DecoderArenas::measuring();
    const DecoderBuffers<T> layout(shape, measured);
    return {Arena(measured.activations.used_bytes(), "activations"),
            Arena(measured.working.used_bytes(), "the working set"),
            Arena(measured.scratch.used_bytes(), "scratch")};
  }

  int64_t rows() const { return shape_.rows(); }
  int64_t hidden() const { return shape_.model.hidden_size; }
  int64_t layers() const { return shape_.model.num_hidden_layers; }
  float eps() const { return static_cast<float>(shape_.model.rms_norm_eps); }
  const T* weight(int64_t offset) const { return parameters_.weights_as<T>() + offset; }
  float* gradient(int64_t offset) const { return parameters_.gradients + offset; }
  bool has_rope(int64_t layer) const {
    return shape_.model.rope_on_layer[static_cast<size_t>(layer)];
  }
  int64_t rotated_heads() const {
    return shape_.model.num_attention_heads + shape_.model.num_key_value_heads;
  }
  LayerActivations<T>& slot(int64_t layer) {
    return buffers_.slots[static_cast<size_t>(layer % shape_.slots())];
  }
  HeadOperands<T> head_operands(const Batch& batch) const {
    return {buffers_.normed, weight(head_), batch.targets.data()};
  }

  // Leaves the final norm's output in `normed`.
  void forward_layers(const Batch& batch) {
    CHECK(batch.batch_size == shape_.micro_batch_size && batch.seq_length == shape_.seq_length);
    positions_ = batch.positions.empty() ? nullptr : batch.positions.data();
    document_starts_ = batch.document_starts.empty() ? nullptr : batch.document_starts.data();
    embedding_forward(batch.tokens.data(), weight(embedding_), rows(), hidden(), slot(0).x);
    for (int64_t layer = 0; layer < layers(); ++layer) {
      if (shape_.recompute.enabled && layer % shape_.slots() == 0) {
        copy(slot(layer).x, checkpoint(layer));
      }
      forward_layer(layer, layer + 1 < layers() ? slot(layer + 1).x : buffers_.x_final);
    }
    rms_norm_forward(buffers_.x_final, weight(final_norm_), eps(), rows(), hidden(),
                     buffers_.normed, buffers_.inv_rms_final);
  }

  // x_middle = x + attention(norm(x));  x_next = x_middle + feed_forward(norm(x_middle))
  void forward_layer(int64_t layer, T* x_next) {
    LayerActivations<T>& a = slot(layer);
    const LayerOffsets& at = offsets_[static_cast<size_t>(layer)];
    DecoderBuffers<T>& b = buffers_;
    rms_norm_forward(a.x, weight(at.input_norm), eps(), rows(), hidden(), b.normed,
                     a.inv_rms_input);
    linear_.forward(b.normed, weight(at.qkv), a.qkv, shape_.qkv());
    if (has_rope(layer)) {
      rope_forward(a.qkv, rows(), shape_.attention().row_stride(), rotated_heads(),
                   shape_.model.head_dim, rope_, 0, positions_);
    }
    attention_forward(shape_.attention(), a.qkv, a.attention, a.lse, b.scratch, shape_.threads,
                      document_starts_);
    linear_.forward(a.attention, weight(at.attention_output), b.branch, shape_.attention_output());

    add_rms_norm_forward(a.x, b.branch, weight(at.middle_norm), eps(), rows(), hidden(), a.x_middle,
                         b.normed, a.inv_rms_middle);
    linear_.forward(b.normed, weight(at.gate_up), a.gate_up, shape_.gate_up());
    swiglu_forward(a.gate_up, rows(), shape_.model.intermediate_size, b.wide);
    linear_.forward(b.wide, weight(at.down), b.branch, shape_.down());
    add(a.x_middle, b.branch, x_next, rows() * hidden());
  }

  // On entry dx is the gradient of the last layer's output, on return of the first layer's input.
  void backward_layers() {
    for (int64_t layer = layers() - 1; layer >= 0; --layer) {
      const bool last_of_stretch = layer == layers() - 1 || (layer + 1) % shape_.slots() == 0;
      // The last stretch still has its activations from the forward pass.
      if (shape_.recompute.enabled && last_of_stretch && layer != layers() - 1) recompute(layer);
      backward_layer(layer);
    }
  }

  // Runs the stretch that ends in `last` once more from its kept input.
  void recompute(int64_t last) {
    const int64_t first = last / shape_.slots() * shape_.slots();
    copy(checkpoint(first), slot(first).x);
    for (int64_t layer = first; layer <= last; ++layer) {
      // The stretch's own output is not needed: `normed` is free to take it.
      forward_layer(layer, layer < last ? slot(layer + 1).x : buffers_.normed);
    }
  }

  void backward_layer(int64_t layer) {
    LayerActivations<T>& a = slot(layer);
    const LayerOffsets& at = offsets_[static_cast<size_t>(layer)];
    DecoderBuffers<T>& b = buffers_;
    const int64_t F = shape_.model.intermediate_size;

    // x_next = x_middle + Wdown swiglu(Wgate_up norm(x_middle))
    swiglu_forward(a.gate_up, rows(), F, b.wide);
    linear_.backward_weight(b.dx, b.wide, gradient(at.down), shape_.down());
    linear_.backward_data(b.dx, weight(at.down), b.wide, shape_.down());
    swiglu_backward(a.gate_up, b.wide, rows(), F);
    rms_norm_forward(a.x_middle, weight(at.middle_norm), eps(), rows(), hidden(), b.normed,
                     static_cast<float*>(nullptr));
    linear_.backward_weight(a.gate_up, b.normed, gradient(at.gate_up), shape_.gate_up());
    linear_.backward_data(a.gate_up, weight(at.gate_up), b.branch, shape_.gate_up());
    rms_norm_backward(b.branch, a.x_middle, weight(at.middle_norm), a.inv_rms_middle, rows(),
                      hidden(), b.dx, gradient(at.middle_norm), b.norm_scratch);

    // x_middle = x + Wo attention(rope(Wqkv norm(x)))
    linear_.backward_weight(b.dx, a.attention, gradient(at.attention_output),
                            shape_.attention_output());
    linear_.backward_data(b.dx, weight(at.attention_output), b.wide, shape_.attention_output());
    attention_backward(shape_.attention(), a.qkv, a.attention, b.wide, a.lse, b.dqkv, b.scratch,
                       shape_.threads, document_starts_);
    if (has_rope(layer)) {
      rope_backward(b.dqkv, rows(), shape_.attention().row_stride(), rotated_heads(),
                    shape_.model.head_dim, rope_, 0, positions_);
    }
    rms_norm_forward(a.x, weight(at.input_norm), eps(), rows(), hidden(), b.normed,
                     static_cast<float*>(nullptr));
    linear_.backward_weight(b.dqkv, b.normed, gradient(at.qkv), shape_.qkv());
    linear_.backward_data(b.dqkv, weight(at.qkv), b.branch, shape_.qkv());
    rms_norm_backward(b.branch, a.x, weight(at.input_norm), a.inv_rms_input, rows(), hidden(), b.dx,
                      gradient(at.input_norm), b.norm_scratch);
  }

  T* checkpoint(int64_t layer) {
    return buffers_.checkpoints[static_cast<size_t>(layer / shape_.slots())];
  }
  void copy(const T* from, T* to) const {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows(); ++row) {
      std::copy_n(from + row * hidden(), hidden(), to + row * hidden());
    }
  }

  DecoderShape shape_;
  ParameterBuffers parameters_;
  std::vector<LayerOffsets> offsets_;
  int64_t embedding_, final_norm_, head_;
  RopeTable rope_;
  DecoderArenas arenas_;
  DecoderBuffers<T> buffers_;
  LinearEngine linear_;
  // Of the batch that is in work.
  const int32_t* positions_ = nullptr;
  const int32_t* document_starts_ = nullptr;
};

}  // namespace

std::vector<LayerOffsets> layer_offsets(const ParameterTable& table, int64_t num_layers) {
  std::vector<LayerOffsets> offsets;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    const auto offset = [&](const char* name) {
      return table.at(fmt::format("model.layers.{}.{}.weight", layer, name)).offset;
    };
    offsets.push_back({offset("input_layernorm"), offset("self_attn.q_proj"),
                       offset("self_attn.o_proj"), offset("post_attention_layernorm"),
                       offset("mlp.gate_proj"), offset("mlp.down_proj")});
  }
  return offsets;
}

RopeTable make_rope_table(const ModelConfig& model, int64_t seq_length, DType dtype) {
  if (!model.rope_scaling) {
    return make_rope_table(model.rope_theta, nullptr, model.head_dim, seq_length, dtype);
  }
  const RopeScalingParameters scaling{
      model.rope_scaling->factor, model.rope_scaling->low_freq_factor,
      model.rope_scaling->high_freq_factor, model.rope_scaling->original_max_position_embeddings};
  return make_rope_table(model.rope_theta, &scaling, model.head_dim, seq_length, dtype);
}

std::unique_ptr<LanguageModel> make_language_model(const DecoderShape& shape,
                                                   const ParameterBuffers& parameters) {
  if (parameters.dtype == DType::kF32) return std::make_unique<Decoder<float>>(shape, parameters);
  return std::make_unique<Decoder<bf16>>(shape, parameters);
}

}  // namespace borealis
