#include "model/decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/stopwatch.h"
#include "model/decoder_layer.h"
#include "model/layer_ops.h"

namespace borealis {
namespace {

// Adds the life of the scope to a counter, but for what is waited for other ranks meanwhile, which
// goes to another.
class ComputeTime {
 public:
  ComputeTime(const UnitFlow* flow, const SequenceExchange* exchange, double& computing_ms,
              double& waiting_ms)
      : flow_(flow),
        exchange_(exchange),
        computing_ms_(computing_ms),
        waiting_ms_(waiting_ms),
        waited_(waited()) {}
  ~ComputeTime() {
    const double waiting = waited() - waited_;
    computing_ms_ += stopwatch_.elapsed_ms() - waiting;
    waiting_ms_ += waiting;
  }
  ComputeTime(const ComputeTime&) = delete;
  ComputeTime& operator=(const ComputeTime&) = delete;

 private:
  double waited() const {
    return (flow_ == nullptr ? 0 : flow_->waited_ms()) +
           (exchange_ == nullptr ? 0 : exchange_->waited_ms());
  }

  const UnitFlow* flow_;
  const SequenceExchange* exchange_;
  double& computing_ms_;
  double& waiting_ms_;
  double waited_;
  Stopwatch stopwatch_;
};

template <typename T>
class Decoder : public LanguageModel {
 public:
  Decoder(const DecoderShape& shape, const ParameterBuffers& parameters, Profiler* profiler,
          UnitFlow* flow, Backend& backend, SequenceExchange* exchange)
      : shape_(shape),
        flow_(flow),
        exchange_(exchange),
        device_(backend.device()),
        offsets_(decoder_offsets(shape.model, *parameters.table)),
        arenas_(allocate(shape, device_)),
        buffers_(shape, arenas_),
        ops_(backend, shape, parameters,
             make_rope_table(shape.model, shape.whole_seq_length(), parameters.dtype), buffers_,
             profiler, exchange) {
    CHECK(shape.sequence_parts == (exchange == nullptr ? 1 : exchange->parts()));
    CHECK(exchange == nullptr || device_.is_host());  // it copies there
  }

  double forward_backward(const Batch& batch, float loss_scale, bool accumulate,
                          PassTimes& times) override {
    CHECK(!shape_.forward_only);
    DecoderBuffers<T>& b = buffers_;
    {
      const ComputeTime timed(flow_, exchange_, times.forward_ms, times.communication_ms);
      forward_layers(batch);
      ops_.wait();  // for the times to be true; it costs a device some ten microseconds
    }
    const ComputeTime timed(flow_, exchange_, times.backward_ms, times.communication_ms);
    ops_.begin_gradients(accumulate);
    HeldUnit tied_head = hold_for_backward(kEmbeddingUnit, is_tied() ? flow_ : nullptr);
    HeldUnit head = hold_for_backward(head_unit(), flow_);
    const double loss = ops_.head_loss_backward(b.normed, offsets_.head, loss_scale, b.branch);
    ops_.clear(b.dx);
    ops_.norm_backward(b.branch, b.x_final, offsets_.final_norm, b.inv_rms_final, b.dx, nullptr);
    head.release();
    backward_layers();
    HeldUnit embedding =
        hold_for_backward(kEmbeddingUnit, is_tied() ? nullptr : flow_, Hold::kGradients);
    ops_.embed_backward(b.dx, offsets_.embedding);
    embedding.release();
    tied_head.release();
    ops_.wait();
    return loss;
  }

  double forward(const Batch& batch) override {
    forward_layers(batch);
    HeldUnit head(flow_, is_tied() ? kEmbeddingUnit : head_unit(), Hold::kWeights);
    const double loss = ops_.head_loss(buffers_.normed, offsets_.head);
    head.release();
    return loss;
  }

  void logits(const Batch& batch, float* logits) override {
    forward_layers(batch);
    HeldUnit head(flow_, is_tied() ? kEmbeddingUnit : head_unit(), Hold::kWeights);
    if (device_.is_host()) {
      ops_.logits(buffers_.normed, offsets_.head, shape_.rows(), logits);
    } else {
      const int64_t size = shape_.rows() * shape_.model.vocab_size;
      const DeviceBuffer there(device_, static_cast<size_t>(size) * sizeof(float), "logits");
      auto* values = reinterpret_cast<float*>(there.bytes().data());
      ops_.logits(buffers_.normed, offsets_.head, shape_.rows(), values);
      device_.download(logits, values, there.bytes().size());
    }
    head.release();
  }

  std::span<std::byte> idle_memory() override {
    if (!device_.is_host()) return arenas_.activations.memory();  // tables lie in the scratch
    return std::max(
        {arenas_.activations.memory(), arenas_.working.memory(), arenas_.scratch.memory()},
        [](const auto& a, const auto& b) { return a.size() < b.size(); });
  }

 private:
  static DecoderArenas allocate(const DecoderShape& shape, Device& device) {
    DecoderArenas measured = DecoderArenas::measuring();
    const DecoderBuffers<T> layout(shape, measured);
    return {Arena(measured.activations.used_bytes(), "activations", device),
            Arena(measured.working.used_bytes(), "the working set", device),
            Arena(measured.scratch.used_bytes(), "scratch", device)};
  }

  int64_t layers() const { return shape_.model.num_hidden_layers; }
  bool is_tied() const { return shape_.model.tie_word_embeddings; }
  // Units as make_parameter_table numbers them.
  static constexpr size_t kEmbeddingUnit = 0;
  static size_t unit_of(int64_t layer) { return static_cast<size_t>(layer) + 1; }
  size_t head_unit() const { return unit_of(layers()); }
  HeldUnit hold_for_backward(size_t unit, UnitFlow* flow, Hold what = Hold::kBoth) {
    HeldUnit held(flow, unit, what);
    if (flow != nullptr) ops_.begin_gradients_of(unit);
    return held;
  }

  LayerActivations<T>& slot(int64_t layer) {
    return buffers_.slots[static_cast<size_t>(layer % shape_.slots())];
  }
  T* segment_input(int64_t layer) {
    return buffers_.segment_inputs[static_cast<size_t>(layer / shape_.slots())];
  }

  // Leaves the final norm's output in `normed`.
  void forward_layers(const Batch& batch) {
    CHECK(batch.batch_size == shape_.micro_batch_size && batch.seq_length == shape_.seq_length);
    if (flow_ != nullptr) flow_->begin();
    ops_.begin(batch);
    HeldUnit embedding(flow_, kEmbeddingUnit, Hold::kWeights);
    ops_.embed(offsets_.embedding, slot(0).x);
    embedding.release();
    for (int64_t layer = 0; layer < layers(); ++layer) {
      if (shape_.segments() > 0 && layer % shape_.slots() == 0) {
        ops_.copy(slot(layer).x, segment_input(layer));
      }
      forward_layer(layer, layer + 1 < layers() ? slot(layer + 1).x : buffers_.x_final);
    }
    HeldUnit head(flow_, head_unit(), Hold::kWeights);
    ops_.norm(buffers_.x_final, offsets_.final_norm, buffers_.normed, buffers_.inv_rms_final);
    head.release();
  }

  void forward_layer(int64_t layer, T* x_next) {
    LayerActivations<T>& a = slot(layer);
    HeldUnit held(flow_, unit_of(layer), Hold::kWeights);
    borealis::forward_layer(
        ops_, offsets_.layers[static_cast<size_t>(layer)], a, buffers_, [&] { ops_.attend(a); },
        x_next);
    held.release();
  }

  // On entry dx is the gradient of the last layer's output, on return of the first layer's input.
  void backward_layers() {
    for (int64_t layer = layers() - 1; layer >= 0; --layer) {
      const bool last_of_segment = layer == layers() - 1 || (layer + 1) % shape_.slots() == 0;
      // The last segment still has its activations from the forward pass.
      if (shape_.recompute.enabled && last_of_segment && layer != layers() - 1) recompute(layer);
      backward_layer(layer);
    }
  }

  // Runs the segment that ends in `last` once more from its kept input.
  void recompute(int64_t last) {
    const int64_t first = last / shape_.slots() * shape_.slots();
    ops_.copy(segment_input(first), slot(first).x);
    for (int64_t layer = first; layer <= last; ++layer) {
      // The segment's own output is not needed: `normed` is free to take it.
      forward_layer(layer, layer < last ? slot(layer + 1).x : buffers_.normed);
    }
  }

  void backward_layer(int64_t layer) {
    LayerActivations<T>& a = slot(layer);
    const LayerOffsets& at = offsets_.layers[static_cast<size_t>(layer)];
    DecoderBuffers<T>& b = buffers_;
    HeldUnit held = hold_for_backward(unit_of(layer), flow_);

    // x_next = x_middle + Wdown swiglu(Wgate_up norm(x_middle))
    ops_.project_backward_input(ops_.down, b.dx, at.down, b.wide);
    ops_.gate_backward(a.gate_up, b.wide);
    ops_.project_backward_weight(ops_.down, b.dx, b.wide, at.down);
    ops_.project_backward_input(ops_.gate_up, a.gate_up, at.gate_up, b.branch);
    ops_.norm_backward(b.branch, a.x_middle, at.middle_norm, a.inv_rms_middle, b.dx, b.normed);
    ops_.project_backward_weight(ops_.gate_up, a.gate_up, b.normed, at.gate_up);

    // x_middle = x + Wo attention(rope(Wqkv norm(x)))
    ops_.project_backward_weight(ops_.attention_output, b.dx, a.attention, at.attention_output);
    ops_.project_backward_input(ops_.attention_output, b.dx, at.attention_output, b.wide);
    ops_.attend_backward(a, b.wide, b.dqkv);
    if (at.has_rope) ops_.rotate_backward(b.dqkv);
    ops_.project_backward_input(ops_.qkv, b.dqkv, at.qkv, b.branch);
    ops_.norm_backward(b.branch, a.x, at.input_norm, a.inv_rms_input, b.dx, b.normed);
    ops_.project_backward_weight(ops_.qkv, b.dqkv, b.normed, at.qkv);
    held.release();
  }

  DecoderShape shape_;
  UnitFlow* flow_;              // null: all units are whole
  SequenceExchange* exchange_;  // null: sequences have one part
  Device& device_;
  DecoderOffsets offsets_;
  DecoderArenas arenas_;
  DecoderBuffers<T> buffers_;
  LayerOps<T> ops_;
};

}  // namespace

DecoderOffsets decoder_offsets(const ModelConfig& model, const ParameterTable& table) {
  const int64_t embedding = table.at("model.embed_tokens.weight").offset;
  DecoderOffsets offsets{embedding,
                         table.at("model.norm.weight").offset,
                         model.tie_word_embeddings ? embedding : table.at("lm_head.weight").offset,
                         {}};
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    const auto offset = [&](const char* name) {
      return table.at(fmt::format("model.layers.{}.{}.weight", layer, name)).offset;
    };
    offsets.layers.push_back({offset("input_layernorm"), offset("self_attn.q_proj"),
                              offset("self_attn.o_proj"), offset("post_attention_layernorm"),
                              offset("mlp.gate_proj"), offset("mlp.down_proj"),
                              model.rope_on_layer[static_cast<size_t>(layer)]});
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
                                                   const ParameterBuffers& parameters,
                                                   Profiler* profiler, UnitFlow* flow,
                                                   Backend& backend, SequenceExchange* exchange) {
  if (parameters.dtype == DType::kF32) {
    return std::make_unique<Decoder<float>>(shape, parameters, profiler, flow, backend, exchange);
  }
  return std::make_unique<Decoder<bf16>>(shape, parameters, profiler, flow, backend, exchange);
}

}  // namespace borealis
