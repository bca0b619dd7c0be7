// The operations of a decoder layer, each on the model's shapes and weights and each one row of the
// profile, so that the decoder reads as the equations of a layer. w: where a weight starts in the
// flat buffers. What computes them is the backend's (kernels/ops.h).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "kernels/backend.h"
#include "kernels/ops.h"
#include "kernels/rope.h"
#include "model/decoder_buffers.h"
#include "model/step_kernels.h"
#include "parallel/sequence_exchange.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// A product of a layer, with its three rows of the profile.
struct Projection {
  LinearShape shape;
  StepKernel forward, weight_gradient, input_gradient;
};

template <typename T>
class LayerOps {
 public:
  // The buffers' memory must outlive this, and the exchange, which is null where a sequence has one
  // part; profiler may be null.
  LayerOps(Backend& backend, const DecoderShape& shape, const ParameterBuffers& parameters,
           RopeTable rope, const DecoderBuffers<T>& buffers, Profiler* profiler,
           SequenceExchange* exchange = nullptr)
      : shape_(shape),
        parameters_(parameters),
        device_(backend.device()),
        on_device_(buffers.batch),
        ops_(make_ops<T>(backend, setup(shape, std::move(rope), buffers))),
        profiler_(profiler),
        exchange_(exchange),
        exchange_space_(buffers.exchanged),
        qkv{shape.qkv(), StepKernel::kQkv, StepKernel::kQkvWeight, StepKernel::kQkvInput},
        attention_output{shape.attention_output(), StepKernel::kAttentionOutput,
                         StepKernel::kAttentionOutputWeight, StepKernel::kAttentionOutputInput},
        gate_up{shape.gate_up(), StepKernel::kGateUp, StepKernel::kGateUpWeight,
                StepKernel::kGateUpInput},
        down{shape.down(), StepKernel::kDown, StepKernel::kDownWeight, StepKernel::kDownInput} {}

  // The batch that the next calls work on, with its positions and documents; it must outlive them,
  // and have no more rows than the buffers were laid out for.
  void begin(const Batch& batch) {
    shape_.micro_batch_size = batch.batch_size;
    shape_.seq_length = batch.seq_length;
    host_tokens_ = batch.tokens.data();
    tokens_ = uploaded(batch.tokens, on_device_.tokens);
    targets_ = uploaded(batch.targets, on_device_.targets);
    positions_ = uploaded(batch.positions, on_device_.positions);
    document_starts_ = uploaded(batch.document_starts, on_device_.document_starts);
    if (!device_.is_host() && shape_.documents) ops_->set_documents(document_lengths(batch));
  }
  // Until what was asked for is done.
  void wait() { device_.wait(); }

  // Whether the backward calls to come add to the parameters' gradients or replace them. Products
  // replace by themselves, which saves a pass over their gradients; what only adds is cleared here,
  // or, where each unit's gradients are handed on (tensor/unit_flow.h), as the unit is held.
  void begin_gradients(bool accumulate) {
    RowGradients* by_rows = parameters_.embedding_gradient;
    accumulate_ = accumulate && !parameters_.gradients_are_sharded();
    if (accumulate) return;
    const auto scope = timed(StepKernel::kClearGradients);
    if (by_rows != nullptr) by_rows->clear();
    if (!parameters_.gradients_are_sharded()) clear_gradients(parameters_.table->entries());
  }
  void begin_gradients_of(size_t unit) {
    if (!parameters_.gradients_are_sharded()) return;
    const auto scope = timed(StepKernel::kClearGradients);
    clear_gradients(parameters_.table->entries_of(parameters_.table->units()[unit]));
  }

  // Of the batch's tokens, as below; the head's losses are of its targets.
  void embed(int64_t w, T* x) {
    const auto scope = timed(StepKernel::kEmbedding);
    ops_->embedding({tokens_, weight(w), rows(), hidden(), x});
  }
  void embed_backward(const T* dx, int64_t w) {
    const auto scope = timed(StepKernel::kEmbeddingBackward);
    RowGradients* by_rows = parameters_.embedding_gradient;
    if (by_rows == nullptr) {
      ops_->embedding_backward({tokens_, dx, rows(), hidden(), gradient(w)});
      return;
    }
    const int64_t before = by_rows->used_rows();
    const auto slots = by_rows->slots({host_tokens_, static_cast<size_t>(rows())});
    const int32_t* places = slots.data();
    ops_->clear_gradient(by_rows->values() + before * hidden(),
                         (by_rows->used_rows() - before) * hidden());
    if (!device_.is_host()) {
      device_.upload(on_device_.slots, places, slots.size_bytes());
      places = on_device_.slots;
    }
    ops_->embedding_backward({places, dx, rows(), hidden(), by_rows->values()});
  }

  // y = norm(x); inv_rms may be null.
  void norm(const T* x, int64_t w, T* y, float* inv_rms) {
    const auto scope = timed(StepKernel::kRmsNorm);
    ops_->rms_norm({x, weight(w), eps(), rows(), hidden(), y, inv_rms});
  }
  // sum = x + branch; y = norm(sum)
  void add_norm(const T* x, const T* branch, int64_t w, T* sum, T* y, float* inv_rms) {
    const auto scope = timed(StepKernel::kAddRmsNorm);
    ops_->add_rms_norm(
        {.norm = {x, weight(w), eps(), rows(), hidden(), y, inv_rms}, .delta = branch, .sum = sum});
  }
  // Adds to dx. normed, unless it is null: norm(x) once more.
  void norm_backward(const T* dy, const T* x, int64_t w, const float* inv_rms, T* dx, T* normed) {
    const auto scope = timed(StepKernel::kRmsNormBackward);
    ops_->rms_norm_backward({dy, x, weight(w), inv_rms, rows(), hidden(), dx, gradient(w), normed});
  }

  void project(const Projection& by, const T* x, int64_t w, T* y) {
    const auto scope = timed(by.forward);
    ops_->linear({sized(by), x, weight(w), y});
  }
  // qkv = x W^T with its queries and keys turned to their positions, as they leave the product.
  void project_and_rotate(const T* x, int64_t w, T* qkv_rows) {
    const auto scope = timed(qkv.forward);
    ops_->linear_with_rope({sized(qkv), x, weight(w), qkv_rows}, turned_rows());
  }
  void project_backward_weight(const Projection& by, const T* dy, const T* x, int64_t w) {
    const auto scope = timed(by.weight_gradient);
    ops_->linear_backward_weight({sized(by), dy, x, gradient(w), accumulate_});
  }
  void project_backward_input(const Projection& by, const T* dy, int64_t w, T* dx) {
    const auto scope = timed(by.input_gradient);
    ops_->linear_backward_input({sized(by), dy, weight(w), dx});
  }

  void rotate_backward(T* dqkv) {
    const auto scope = timed(StepKernel::kRopeBackward);
    ops_->rope_backward({turned_rows(), rows(), dqkv});
  }
  // Where a sequence has several parts, a.qkv becomes that of this rank's heads.
  void attend(const LayerActivations<T>& a) {
    if (exchange_ != nullptr) to_heads(qkv_heads(), a.qkv, StepKernel::kExchangeQkv);
    {
      const auto scope = timed(StepKernel::kAttention);
      ops_->attention({shape_.attention(), a.qkv, document_starts_, a.attention_of_heads, a.lse});
    }
    if (exchange_ != nullptr) {
      to_tokens(query_heads(), a.attention_of_heads, a.attention, StepKernel::kExchangeAttention);
    }
  }
  // The rows are tokens first .. end - 1 of a text whose keys and values are in the cache.
  void attend_prefix(const T* qkv_rows, int64_t first, int64_t end, int32_t sequence,
                     const KeyValueCache<T>& over, T* output, float* lse) {
    const auto scope = timed(StepKernel::kAttention);
    AttentionShape text = shape_.attention();
    text.batch_size = 1;
    text.seq_length = end;
    ops_->attention_prefix({text, first, qkv_rows, sequence, over, output, lse});
  }
  // Puts the rows' keys and values into a cache, and attends over it.
  void cache(const T* qkv_rows, const CacheRows& cached, const KeyValueCache<T>& to) {
    const auto scope = timed(StepKernel::kAttention);
    ops_->cache_keys_values({shape_.attention(), qkv_rows, readable(cached), to});
  }
  void attend_cached(const T* qkv_rows, const CacheRows& cached, const KeyValueCache<T>& over,
                     T* output) {
    const auto scope = timed(StepKernel::kAttention);
    ops_->attention_decode({shape_.attention(), qkv_rows, readable(cached), over, output});
  }
  // Overwrites doutput where a sequence has several parts.
  void attend_backward(const LayerActivations<T>& a, T* doutput, T* dqkv) {
    if (exchange_ != nullptr) to_heads(query_heads(), doutput, StepKernel::kExchangeAttention);
    {
      const auto scope = timed(StepKernel::kAttentionBackward);
      ops_->attention_backward({shape_.attention(), a.qkv, a.attention_of_heads, a.lse,
                                document_starts_, doutput, dqkv});
    }
    if (exchange_ != nullptr) to_tokens(qkv_heads(), dqkv, dqkv, StepKernel::kExchangeQkv);
  }

  void gate(const T* gate_up_rows, T* y) {
    const auto scope = timed(StepKernel::kSwiglu);
    ops_->swiglu({gate_up_rows, rows(), shape_.model.intermediate_size, y});
  }
  // Overwrites gate_up_rows with their gradient, and that of y with y.
  void gate_backward(T* gate_up_rows, T* y) {
    const auto scope = timed(StepKernel::kSwigluBackward);
    ops_->swiglu_backward({gate_up_rows, y, rows(), shape_.model.intermediate_size});
  }
  void add(const T* x, const T* branch, T* sum) {
    const auto scope = timed(StepKernel::kAdd);
    ops_->add(x, branch, sum, rows() * hidden());
  }
  void copy(const T* from, T* to) {
    const auto scope = timed(StepKernel::kKeepInput);
    ops_->copy(from, to, rows() * hidden());
  }
  void copy_row(const T* from, T* to) { ops_->copy(from, to, hidden()); }
  void clear(T* dx) {
    const auto scope = timed(StepKernel::kClearResidual);
    ops_->clear(dx, rows() * hidden());
  }

  double head_loss(const T* x, int64_t w) {
    return ops_->head_loss({shape_.head(), {x, weight(w), targets_}});
  }
  // Overwrites dx.
  double head_loss_backward(const T* x, int64_t w, float scale, T* dx) {
    const auto scope = timed(StepKernel::kHeadLoss);
    return ops_->head_loss_backward(
        {shape_.head(), {x, weight(w), targets_}, scale, dx, gradient(w), accumulate_});
  }
  // Of the first `count` rows.
  void logits(const T* x, int64_t w, int64_t count, float* logits) {
    ops_->head_logits({{count, hidden(), shape_.model.vocab_size}, x, weight(w), logits});
  }

 private:
  static OpsSetup setup(const DecoderShape& shape, RopeTable rope,
                        const DecoderBuffers<T>& buffers) {
    OpsSetup setup{.rope = std::move(rope),
                   .scratch = buffers.scratch,
                   .mode = shape.mode,
                   .products = shape.products,
                   .threads = shape.threads,
                   .norm_scratch = buffers.norm_scratch,
                   .gpu = {}};
    setup.gpu = shape.gpu_ops(setup.rope.seq_length);
    return setup;
  }
  // The numbers where the operations read them; null for none.
  const int32_t* uploaded(const std::vector<int32_t>& numbers, int32_t* place) {
    if (numbers.empty()) return nullptr;
    if (device_.is_host()) return numbers.data();
    device_.upload(place, numbers.data(), numbers.size() * sizeof(int32_t));
    return place;
  }
  // The same rows, of the batch, where the operations read them.
  CacheRows readable(const CacheRows& rows) {
    if (device_.is_host()) return rows;
    const auto bytes = static_cast<size_t>(rows.count) * sizeof(int32_t);
    device_.upload(on_device_.slots, rows.sequences, bytes);
    return {rows.count, on_device_.slots, positions_};
  }
  int64_t rows() const { return shape_.rows(); }
  int64_t hidden() const { return shape_.model.hidden_size; }
  LinearShape sized(const Projection& by) const {
    return {rows(), by.shape.out_features, by.shape.in_features};
  }
  float eps() const { return static_cast<float>(shape_.model.rms_norm_eps); }
  RopeRows turned_rows() const {
    return {shape_.qkv().out_features,
            shape_.model.num_attention_heads + shape_.model.num_key_value_heads,
            shape_.model.head_dim, positions_};
  }
  // A token's row of all heads, as it is cut for the exchange.
  HeadRows head_rows(const std::array<int64_t, 3>& heads) const {
    return {shape_.micro_batch_size, shape_.seq_length, heads,
            shape_.model.head_dim * static_cast<int64_t>(sizeof(T))};
  }
  HeadRows query_heads() const { return head_rows({shape_.model.num_attention_heads}); }
  HeadRows qkv_heads() const {
    const ModelConfig& model = shape_.model;
    return head_rows(
        {model.num_attention_heads, model.num_key_value_heads, model.num_key_value_heads});
  }
  void to_heads(const HeadRows& rows, T* data, StepKernel kernel) {
    const auto scope = timed(kernel);
    exchange_->to_heads(rows, reinterpret_cast<std::byte*>(data),
                        reinterpret_cast<std::byte*>(exchange_space_));
  }
  void to_tokens(const HeadRows& rows, const T* from, T* to, StepKernel kernel) {
    const auto scope = timed(kernel);
    exchange_->to_tokens(rows, reinterpret_cast<const std::byte*>(from),
                         reinterpret_cast<std::byte*>(to),
                         reinterpret_cast<std::byte*>(exchange_space_));
  }
  // Of those that backward calls add to.
  void clear_gradients(std::span<const Parameter> parameters) {
    for (const Parameter& parameter : parameters) {
      const bool is_norm = parameter.kind == ParameterKind::kNorm;
      const bool is_dense_embedding =
          parameter.kind == ParameterKind::kEmbedding && parameters_.embedding_gradient == nullptr;
      // The head's product replaces a matrix that is the embedding's, too.
      if (!is_norm && (!is_dense_embedding || shape_.model.tie_word_embeddings)) continue;
      ops_->clear_gradient(gradient(parameter.offset), parameter.size());
    }
  }
  const T* weight(int64_t offset) const { return parameters_.weight_at<T>(offset); }
  float* gradient(int64_t offset) const { return parameters_.gradient_at(offset); }
  KernelScope timed(StepKernel kernel) const { return kernel_scope(profiler_, kernel); }

  DecoderShape shape_;
  ParameterBuffers parameters_;
  Device& device_;
  BatchOnDevice on_device_;
  std::unique_ptr<Ops<T>> ops_;
  Profiler* profiler_;
  SequenceExchange* exchange_;
  T* exchange_space_;
  bool accumulate_ = false;  // gradients of this pass have a value to be added to
  // Of the batch, [B, T]:
  const int32_t* host_tokens_ = nullptr;
  const int32_t* tokens_ = nullptr;
  const int32_t* targets_ = nullptr;
  const int32_t* positions_ = nullptr;        // or null: 0 .. T-1
  const int32_t* document_starts_ = nullptr;  // of whole sequences; null: each is one document

 public:
  const Projection qkv, attention_output, gate_up, down;
};

}  // namespace borealis
