#include "model/step_kernels.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/dtype.h"

namespace borealis {
namespace {

constexpr const char* kProducts = "products";
constexpr const char* kAttention = "attention";
constexpr const char* kParts = "between the parts of a sequence";
constexpr const char* kHead = "head and loss";
constexpr const char* kLayer = "other kernels of a layer";
constexpr const char* kOptimizer = "optimizer";
constexpr const char* kEnds = "batch, embedding, clearing";

struct Size {
  double in, out, rows;  // of a product
  double elements() const { return in * out; }
  double flops() const { return 2 * rows * elements(); }
};

Size size_of(const LinearShape& shape) {
  return {static_cast<double>(shape.in_features), static_cast<double>(shape.out_features),
          static_cast<double>(shape.rows)};
}

class Costs {
 public:
  explicit Costs(const RunLayout& layout)
      : shape_(layout.decoder),
        width_(static_cast<double>(dtype_bytes(layout.dtype))),
        elements_(static_cast<double>(layout.table.buffer_elements())),
        gradient_elements_(static_cast<double>(layout.gradient_elements())),
        owned_(static_cast<double>(layout.partition.shard_elements()) / elements_),
        micro_batches_(static_cast<double>(layout.grad_accum_steps)),
        kernels_(static_cast<size_t>(StepKernel::kCount)) {
    add_products();
    add_attention();
    add_head();
    add_layer();
    add_ends();
    add_optimizer();
    add_exchanges();
    for (const KernelInfo& kernel : kernels_) CHECK(!kernel.name.empty());
  }
  std::vector<KernelInfo> take() { return std::move(kernels_); }

 private:
  double rows() const { return static_cast<double>(shape_.rows()); }
  double residual() const { return rows() * static_cast<double>(shape_.model.hidden_size); }
  double heads(int64_t count) const {
    return rows() * static_cast<double>(count * shape_.model.head_dim);
  }

  double embedding() const {
    return static_cast<double>(shape_.model.vocab_size * shape_.model.hidden_size);
  }
  bool has_row_gradients() const { return gradient_elements_ < elements_; }
  // Bytes that a product moves for an f32 element of its weight's gradient.
  double gradient_width() const { return 8 - 4 / micro_batches_; }

  void set(StepKernel kernel, std::string name, const char* group, double flops, double bytes) {
    kernels_[static_cast<size_t>(kernel)] = {std::move(name), group, flops, bytes};
  }

  // y = x W^T;  dW += dy^T x, in f32;  dx = dy W
  void add_product(StepKernel forward, StepKernel weight, StepKernel input, const std::string& name,
                   const LinearShape& shape) {
    const Size s = size_of(shape);
    const double activations = s.rows * (s.in + s.out) * width_;
    set(forward, name, kProducts, s.flops(), activations + s.elements() * width_);
    set(weight, name + ", weight gradient", kProducts, s.flops(),
        activations + s.elements() * gradient_width());
    set(input, name + ", input gradient", kProducts, s.flops(),
        activations + s.elements() * width_);
  }

  void add_products() {
    using enum StepKernel;
    add_product(kQkv, kQkvWeight, kQkvInput, "QKV projection", shape_.qkv());
    // RoPE's few FLOPs are not counted, nor the pass that it is where the product is not our own.
    kernels_[static_cast<size_t>(kQkv)].name = "QKV projection with RoPE";
    add_product(kAttentionOutput, kAttentionOutputWeight, kAttentionOutputInput,
                "attention output projection", shape_.attention_output());
    add_product(kGateUp, kGateUpWeight, kGateUpInput, "gate and up projection", shape_.gate_up());
    add_product(kDown, kDownWeight, kDownInput, "down projection", shape_.down());
  }

  // Two products forward, five backward, over the lower triangle with its diagonal.
  void add_attention() {
    const ModelConfig& model = shape_.model;
    const double q = heads(model.num_attention_heads);
    const double qkv = q + 2 * heads(model.num_key_value_heads);
    const double lse = 4 * rows() * static_cast<double>(model.num_attention_heads);
    const double product = q * (static_cast<double>(shape_.whole_seq_length()) + 1);
    set(StepKernel::kAttention, "attention", borealis::kAttention, 2 * product,
        (qkv + q) * width_ + lse);
    set(StepKernel::kAttentionBackward, "attention, backward", borealis::kAttention, 5 * product,
        2 * (qkv + q) * width_ + lse);
    // Each is cut into blocks or put together from them in memory, too.
    set(StepKernel::kExchangeQkv, "QKV exchanged between the parts of a sequence", kParts, 0,
        4 * qkv * width_);
    set(StepKernel::kExchangeAttention, "attention exchanged between the parts of a sequence",
        kParts, 0, 4 * q * width_);
  }

  void add_head() {
    const Size s{static_cast<double>(shape_.model.hidden_size),
                 static_cast<double>(shape_.model.vocab_size), rows()};
    set(StepKernel::kHeadLoss, "head and loss, both directions", kHead, 3 * s.flops(),
        2 * s.rows * s.in * width_ + s.elements() * (width_ + gradient_width()));
  }

  void add_layer() {
    using enum StepKernel;
    const ModelConfig& model = shape_.model;
    const double r = residual();
    const double inner = rows() * static_cast<double>(model.intermediate_size);
    const double rotated = heads(model.num_attention_heads + model.num_key_value_heads);
    set(kRmsNorm, "RMSNorm", kLayer, 4 * r, 2 * r * width_);
    set(kAddRmsNorm, "residual and RMSNorm", kLayer, 5 * r, 4 * r * width_);
    // With the normed rows, which all but the final norm's make once more.
    set(kRmsNormBackward, "RMSNorm, backward", kLayer, 10 * r, 5 * r * width_);
    set(kRopeBackward, "RoPE, backward", kLayer, 3 * rotated, 2 * rotated * width_);
    set(kSwiglu, "SwiGLU", kLayer, 5 * inner, 3 * inner * width_);
    set(kSwigluBackward, "SwiGLU, backward", kLayer, 12 * inner, 6 * inner * width_);
    set(kAdd, "residual", kLayer, r, 3 * r * width_);
    set(kKeepInput, "copy of a segment input", kLayer, 0, 2 * r * width_);
  }

  void add_ends() {
    using enum StepKernel;
    const double r = residual();
    set(kNextBatch, "next batch", kEnds, 0, 12 * rows());
    set(kEmbedding, "embedding", kEnds, 0, 2 * r * width_);
    set(kEmbeddingBackward, "embedding, backward", kEnds, r, r * (width_ + 8));
    set(kClearResidual, "clear residual gradient", kEnds, 0, r * width_);
    const double norms =
        static_cast<double>((2 * shape_.model.num_hidden_layers + 1) * shape_.model.hidden_size);
    const bool cleared = !has_row_gradients() && !shape_.model.tie_word_embeddings;
    set(kClearGradients, "clear gradients", kEnds, 0, 4 * (norms + (cleared ? embedding() : 0)));
  }

  // Gradient read; moments and master weight read and written, which in bf16 is the weight and its
  // other half. Of the embedding's rows that never had a gradient only the weight decays.
  void add_optimizer() {
    set(StepKernel::kGradNorm, "gradient norm", kOptimizer, 2 * owned_ * gradient_elements_,
        4 * owned_ * gradient_elements_);
    const double rows_with_gradient =
        std::min(micro_batches_ * residual(), embedding());  // of this step, at most
    const double decayed = has_row_gradients() ? embedding() - rows_with_gradient : 0;
    set(StepKernel::kAdamW, "AdamW", kOptimizer, owned_ * (14 * (elements_ - decayed) + decayed),
        owned_ * (24 * elements_ - 16 * decayed + 4 * gradient_elements_));
  }

  // Units differ in size: each call says what it received.
  void add_exchanges() {
    using enum StepKernel;
    set(kSumGradients, "gradients of a unit, added up over the ranks", kBesideKernels, 0, 0);
    set(kSumEmbeddingRows, "embedding's gradient, added up over the ranks", kBesideKernels, 0, 0);
    set(kGatherWeights, "weights of a unit, gathered from the ranks", kBesideKernels, 0, 0);
  }

  const DecoderShape& shape_;
  double width_;     // bytes of a weight or an activation
  double elements_;  // parameters, with the padding of the flat buffers
  double gradient_elements_;
  double owned_;          // share of the parameters that this rank updates
  double micro_batches_;  // of a step
  std::vector<KernelInfo> kernels_;
};

}  // namespace

std::vector<KernelInfo> step_kernels(const RunLayout& layout) { return Costs(layout).take(); }

int64_t most_kernel_calls(const RunLayout& layout) {
  // A layer calls each of its kernels at most twice (RMSNorm's backward pass, exchanges), the
  // forward ones once more where they are recomputed, which those that belong to no layer make room
  // for; the rest are called at most once a micro-batch.
  constexpr auto kKernels = static_cast<int64_t>(StepKernel::kCount);
  const int64_t layer = 2 * kKernels;
  return layout.grad_accum_steps * (layout.decoder.model.num_hidden_layers * layer + kKernels);
}

ProfiledSteps profiled_steps(const RunConfig& config) {
  if (!config.profile.enabled) return {};
  return {config.profile.first_iteration,
          std::min(config.profile.end_iteration, config.limits.train_iters + 1)};
}

}  // namespace borealis
