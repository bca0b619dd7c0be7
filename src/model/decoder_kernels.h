// The operations of a decoder layer, each on the model's shapes and weights and each one row of the
// profile, so that the decoder reads as the equations of a layer. w: where a weight starts in the
// flat buffers. Shapes and dtypes are those of the kernels' own headers.
#pragma once

#include <algorithm>

#include "data/batch.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/head_loss.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "model/decoder_buffers.h"
#include "model/step_kernels.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// A product of a layer, with its three rows of the profile.
struct Projection {
  LinearShape shape;
  StepKernel forward, weight_gradient, input_gradient;
};

template <typename T>
class DecoderKernels {
 public:
  // buffers must outlive this; profiler may be null.
  DecoderKernels(const DecoderShape& shape, const ParameterBuffers& parameters, RopeTable rope,
                 DecoderBuffers<T>& buffers, Profiler* profiler)
      : shape_(shape),
        parameters_(parameters),
        rope_(std::move(rope)),
        buffers_(buffers),
        linear_(shape.mode, buffers.scratch, shape.threads, shape.products),
        profiler_(profiler),
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
    positions_ = batch.positions.empty() ? nullptr : batch.positions.data();
    document_starts_ = batch.document_starts.empty() ? nullptr : batch.document_starts.data();
  }

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

  void embed(const int32_t* tokens, int64_t w, T* x) {
    const auto scope = timed(StepKernel::kEmbedding);
    embedding_forward(tokens, weight(w), rows(), hidden(), x);
  }
  void embed_backward(const int32_t* tokens, const T* dx, int64_t w) {
    const auto scope = timed(StepKernel::kEmbeddingBackward);
    RowGradients* by_rows = parameters_.embedding_gradient;
    if (by_rows == nullptr) {
      embedding_backward(tokens, dx, rows(), hidden(), gradient(w));
      return;
    }
    const auto slots = by_rows->slots({tokens, static_cast<size_t>(rows())});
    embedding_backward(slots.data(), dx, rows(), hidden(), by_rows->values());
  }

  // y = norm(x); inv_rms may be null.
  void norm(const T* x, int64_t w, T* y, float* inv_rms) {
    const auto scope = timed(StepKernel::kRmsNorm);
    rms_norm_forward(x, weight(w), eps(), rows(), hidden(), y, inv_rms);
  }
  // sum = x + branch; y = norm(sum)
  void add_norm(const T* x, const T* branch, int64_t w, T* sum, T* y, float* inv_rms) {
    const auto scope = timed(StepKernel::kAddRmsNorm);
    add_rms_norm_forward(x, branch, weight(w), eps(), rows(), hidden(), sum, y, inv_rms);
  }
  // Adds to dx.
  void norm_backward(const T* dy, const T* x, int64_t w, const float* inv_rms, T* dx) {
    const auto scope = timed(StepKernel::kRmsNormBackward);
    rms_norm_backward(dy, x, weight(w), inv_rms, rows(), hidden(), dx, gradient(w),
                      buffers_.norm_scratch);
  }

  void project(const Projection& by, const T* x, int64_t w, T* y) {
    const auto scope = timed(by.forward);
    linear_.forward(x, weight(w), y, sized(by));
  }
  // qkv = x W^T with its queries and keys turned to their positions, as they leave the product.
  void project_and_rotate(const T* x, int64_t w, T* qkv_rows) {
    const auto scope = timed(qkv.forward);
    const ResultEpilogue rotate{shape_.model.head_dim, [this, qkv_rows](const ResultBlock& block) {
                                  rotate_block(block, qkv_rows);
                                }};
    linear_.forward(x, weight(w), qkv_rows, sized(qkv), &rotate);
  }
  void project_backward_weight(const Projection& by, const T* dy, const T* x, int64_t w) {
    const auto scope = timed(by.weight_gradient);
    linear_.backward_weight(dy, x, gradient(w), accumulate_, sized(by));
  }
  void project_backward_input(const Projection& by, const T* dy, int64_t w, T* dx) {
    const auto scope = timed(by.input_gradient);
    linear_.backward_data(dy, weight(w), dx, sized(by));
  }

  void rotate_backward(T* dqkv) {
    const auto scope = timed(StepKernel::kRopeBackward);
    rope_backward(dqkv, rows(), shape_.attention().row_stride(), rotated_heads(),
                  shape_.model.head_dim, rope_, 0, positions_);
  }
  void attend(const T* qkv_rows, T* output, float* lse) {
    const auto scope = timed(StepKernel::kAttention);
    attention_forward(shape_.attention(), qkv_rows, output, lse, buffers_.scratch, shape_.threads,
                      document_starts_);
  }
  // The rows are tokens first .. end - 1 of a text whose keys and values are in the cache.
  void attend_prefix(const T* qkv_rows, int64_t first, int64_t end, int32_t sequence,
                     const KeyValueCache<T>& over, T* output, float* lse) {
    const auto scope = timed(StepKernel::kAttention);
    AttentionShape text = shape_.attention();
    text.batch_size = 1;
    text.seq_length = end;
    attention_forward_prefix(text, first, qkv_rows, sequence, over, output, lse, buffers_.scratch,
                             shape_.threads);
  }
  // Puts the rows' keys and values into a cache, and attends over it.
  void cache(const T* qkv_rows, const CacheRows& cached, const KeyValueCache<T>& to) {
    const auto scope = timed(StepKernel::kAttention);
    cache_keys_values(shape_.attention(), qkv_rows, cached, to);
  }
  void attend_cached(const T* qkv_rows, const CacheRows& cached, const KeyValueCache<T>& over,
                     T* output) {
    const auto scope = timed(StepKernel::kAttention);
    attention_decode(shape_.attention(), qkv_rows, cached, over, output, buffers_.scratch);
  }
  void attend_backward(const LayerActivations<T>& a, const T* doutput, T* dqkv) {
    const auto scope = timed(StepKernel::kAttentionBackward);
    attention_backward(shape_.attention(), a.qkv, a.attention, doutput, a.lse, dqkv,
                       buffers_.scratch, shape_.threads, document_starts_);
  }

  void gate(const T* gate_up_rows, T* y) {
    const auto scope = timed(StepKernel::kSwiglu);
    swiglu_forward(gate_up_rows, rows(), shape_.model.intermediate_size, y);
  }
  // Overwrites gate_up_rows with their gradient.
  void gate_backward(T* gate_up_rows, const T* dy) {
    const auto scope = timed(StepKernel::kSwigluBackward);
    swiglu_backward(gate_up_rows, dy, rows(), shape_.model.intermediate_size);
  }
  void add(const T* x, const T* branch, T* sum) {
    const auto scope = timed(StepKernel::kAdd);
    borealis::add(x, branch, sum, rows() * hidden());
  }
  void copy(const T* from, T* to) {
    const auto scope = timed(StepKernel::kKeepInput);
    copy_bytes(from, to, sizeof(T) * static_cast<size_t>(rows() * hidden()));
  }
  void clear(T* dx) {
    const auto scope = timed(StepKernel::kClearResidual);
    fill_zero(dx, sizeof(T) * static_cast<size_t>(rows() * hidden()));
  }

  double head_loss(const T* x, int64_t w, const int32_t* targets) {
    return head_loss_forward(linear_, shape_.head(), HeadOperands<T>{x, weight(w), targets},
                             buffers_.scratch);
  }
  // Overwrites dx.
  double head_loss_backward(const T* x, int64_t w, const int32_t* targets, float scale, T* dx) {
    const auto scope = timed(StepKernel::kHeadLoss);
    return head_loss_forward_backward(linear_, shape_.head(),
                                      HeadOperands<T>{x, weight(w), targets}, scale, dx,
                                      gradient(w), accumulate_, buffers_.scratch);
  }
  // Of the first `count` rows.
  void logits(const T* x, int64_t w, int64_t count, float* logits) {
    head_logits(linear_, {count, hidden(), shape_.model.vocab_size}, x, weight(w), logits,
                buffers_.scratch);
  }

 private:
  int64_t rows() const { return shape_.rows(); }
  int64_t hidden() const { return shape_.model.hidden_size; }
  LinearShape sized(const Projection& by) const {
    return {rows(), by.shape.out_features, by.shape.in_features};
  }
  float eps() const { return static_cast<float>(shape_.model.rms_norm_eps); }
  int64_t rotated_heads() const {
    return shape_.model.num_attention_heads + shape_.model.num_key_value_heads;
  }
  void rotate_block(const ResultBlock& block, T* qkv_rows) const {
    const int64_t C = shape_.model.head_dim, first = block.column / C;
    const int64_t end = std::min((block.column + block.columns) / C, rotated_heads());
    if (first >= end) return;  // values
    rope_forward_block(qkv_rows, shape_.attention().row_stride(),
                       {block.row, block.rows, first, end - first}, rope_, positions_);
  }
  // Of those that backward calls add to.
  void clear_gradients(std::span<const Parameter> parameters) {
    for (const Parameter& parameter : parameters) {
      const bool is_norm = parameter.kind == ParameterKind::kNorm;
      const bool is_dense_embedding =
          parameter.kind == ParameterKind::kEmbedding && parameters_.embedding_gradient == nullptr;
      // The head's product replaces a matrix that is the embedding's, too.
      if (!is_norm && (!is_dense_embedding || shape_.model.tie_word_embeddings)) continue;
      fill_zero(gradient(parameter.offset), sizeof(float) * static_cast<size_t>(parameter.size()));
    }
  }
  const T* weight(int64_t offset) const { return parameters_.weight_at<T>(offset); }
  float* gradient(int64_t offset) const { return parameters_.gradient_at(offset); }
  KernelScope timed(StepKernel kernel) const { return kernel_scope(profiler_, kernel); }

  DecoderShape shape_;
  ParameterBuffers parameters_;
  RopeTable rope_;
  DecoderBuffers<T>& buffers_;
  LinearEngine linear_;
  Profiler* profiler_;
  bool accumulate_ = false;                   // gradients of this pass have a value to be added to
  const int32_t* positions_ = nullptr;        // [B, T], or null: 0 .. T-1
  const int32_t* document_starts_ = nullptr;  // [B, T], or null: a sequence is one document

 public:
  const Projection qkv, attention_output, gate_up, down;
};

}  // namespace borealis
