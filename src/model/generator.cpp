#include "model/generator.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/random.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/head_loss.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "model/decoder.h"

namespace borealis {

// One row of activations and the cache; T is the storage type of the weights.
struct Generator::State {
  virtual ~State() = default;
  virtual std::span<const float> step(int32_t token) = 0;
  virtual int64_t vocab_size() const = 0;

  int64_t capacity = 0;
  int64_t length = 0;  // positions in the cache
};

namespace {

template <typename T, typename StateBase>
class DecodingState : public StateBase {
 public:
  DecodingState(const ModelConfig& model, const ParameterBuffers& parameters, int64_t positions)
      : model_(model),
        parameters_(parameters),
        offsets_(decoder_offsets(model, *parameters.table).layers),
        rope_(make_rope_table(model, positions, parameters.dtype)),
        head_{1, model.hidden_size, model.vocab_size},
        scratch_(scratch_floats()),
        linear_(mode(), scratch_.data()) {
    this->capacity = positions;
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    x_.resize(size(model.hidden_size));
    normed_.resize(x_.size());
    branch_.resize(x_.size());
    qkv_.resize(size(model.query_size() + 2 * model.key_value_size()));
    attention_.resize(size(model.query_size()));
    gate_up_.resize(size(2 * model.intermediate_size));
    ffn_.resize(size(model.intermediate_size));
    query_.resize(size(model.query_size()));
    output_.resize(query_.size());
    logits_.resize(size(model.vocab_size));
    cache_.resize(size(2 * model.num_hidden_layers * cache_floats()));
  }

  int64_t vocab_size() const override { return model_.vocab_size; }

  std::span<const float> step(int32_t token) override {
    const int64_t D = model_.hidden_size;
    CHECK(this->length < this->capacity, "the cache is full");
    const int64_t embedding = parameters_.table->at("model.embed_tokens.weight").offset;
    std::copy_n(weight(embedding) + token * D, D, x_.data());
    for (int64_t layer = 0; layer < model_.num_hidden_layers; ++layer) run_layer(layer);
    rms_norm_forward(x_.data(), weight(parameters_.table->at("model.norm.weight").offset), eps(), 1,
                     D, normed_.data(), static_cast<float*>(nullptr));
    const int64_t head =
        model_.tie_word_embeddings ? embedding : parameters_.table->at("lm_head.weight").offset;
    head_logits(linear_, head_, normed_.data(), weight(head), logits_.data(), scratch_.data());
    ++this->length;
    return logits_;
  }

 private:
  static ProductMode mode() { return product_mode(dtype_of<T>()); }
  const T* weight(int64_t offset) const { return parameters_.weights_as<T>() + offset; }
  float eps() const { return static_cast<float>(model_.rms_norm_eps); }
  int64_t cache_floats() const { return model_.key_value_size() * this->capacity; }
  AttentionShape attention_shape() const {
    return {1, 1, model_.num_attention_heads, model_.num_key_value_heads, model_.head_dim};
  }
  LinearShape row(int64_t out, int64_t in) const { return {1, out, in}; }

  size_t scratch_floats() const {
    const int64_t D = model_.hidden_size, Q = model_.query_size();
    const auto products = [](const LinearShape& shape) {
      return linear_scratch_floats(mode(), shape, Products::kLibrary);
    };
    return static_cast<size_t>(
        std::max({head_forward_scratch_floats(mode(), head_, Products::kLibrary),
                  products(row(Q + 2 * model_.key_value_size(), D)), products(row(D, Q)),
                  products(row(2 * model_.intermediate_size, D)),
                  products(row(D, model_.intermediate_size)), int64_t{1}}));
  }

  void run_layer(int64_t layer) {
    const LayerOffsets& at = offsets_[static_cast<size_t>(layer)];
    const int64_t D = model_.hidden_size, F = model_.intermediate_size, Q = model_.query_size();
    const auto qkv_size = static_cast<int64_t>(qkv_.size());
    rms_norm_forward(x_.data(), weight(at.input_norm), eps(), 1, D, normed_.data(),
                     static_cast<float*>(nullptr));
    linear_.forward(normed_.data(), weight(at.qkv), qkv_.data(), row(qkv_size, D));
    if (at.has_rope) {
      rope_forward(qkv_.data(), 1, qkv_size,
                   model_.num_attention_heads + model_.num_key_value_heads, model_.head_dim, rope_,
                   this->length);
    }
    attend(layer);
    linear_.forward(attention_.data(), weight(at.attention_output), branch_.data(), row(D, Q));
    add_rms_norm_forward(x_.data(), branch_.data(), weight(at.middle_norm), eps(), 1, D, x_.data(),
                         normed_.data(), static_cast<float*>(nullptr));
    linear_.forward(normed_.data(), weight(at.gate_up), gate_up_.data(), row(2 * F, D));
    swiglu_forward(gate_up_.data(), 1, F, ffn_.data());
    linear_.forward(ffn_.data(), weight(at.down), branch_.data(), row(D, F));
    add(x_.data(), branch_.data(), x_.data(), D);
  }

  // Puts this position's key and value into the cache and reads it.
  void attend(int64_t layer) {
    const int64_t C = model_.head_dim, Q = model_.query_size();
    float* keys = cache_.data() + 2 * layer * cache_floats();
    float* values = keys + cache_floats();
    std::transform(qkv_.begin(), qkv_.begin() + Q, query_.begin(),
                   [](T v) { return static_cast<float>(v); });
    for (int64_t head = 0; head < model_.num_key_value_heads; ++head) {
      const int64_t to = (head * this->capacity + this->length) * C;
      for (int64_t c = 0; c < C; ++c) {
        keys[to + c] = static_cast<float>(qkv_[static_cast<size_t>(Q + head * C + c)]);
        values[to + c] = static_cast<float>(
            qkv_[static_cast<size_t>(Q + model_.key_value_size() + head * C + c)]);
      }
    }
    attention_decode(attention_shape(), query_.data(), keys, values, this->capacity,
                     this->length + 1, output_.data());
    std::transform(output_.begin(), output_.end(), attention_.begin(),
                   [](float v) { return T(v); });
  }

  ModelConfig model_;
  ParameterBuffers parameters_;
  std::vector<LayerOffsets> offsets_;
  RopeTable rope_;
  HeadShape head_;
  std::vector<float> scratch_;
  LinearEngine linear_;
  std::vector<T> x_, normed_, branch_, qkv_, attention_, gate_up_, ffn_;
  std::vector<float> query_, output_, logits_;
  std::vector<float> cache_;  // [L, keys then values, K, capacity, C]
};

}  // namespace

Generator::Generator(const ModelConfig& model, const ParameterBuffers& parameters,
                     int64_t capacity) {
  if (parameters.dtype == DType::kF32) {
    state_ = std::make_unique<DecodingState<float, State>>(model, parameters, capacity);
  } else {
    state_ = std::make_unique<DecodingState<bf16, State>>(model, parameters, capacity);
  }
}

Generator::~Generator() = default;

std::span<const float> Generator::next_logits(int32_t token) {
  CHECK(token >= 0 && token < state_->vocab_size());
  return state_->step(token);
}

void Generator::generate(std::span<const int32_t> prompt, const SamplingOptions& options,
                         const std::function<void(int32_t)>& on_token) {
  CHECK(!prompt.empty());
  std::span<const float> logits;
  for (const int32_t token : prompt) logits = next_logits(token);
  const RandomStream random(options.seed, /*stream=*/0x67656e);
  for (int64_t i = 0; i < options.max_new_tokens; ++i) {
    const int32_t token = sample_token(logits, options, random.uniform(static_cast<uint64_t>(i)));
    const auto& stops = options.stop_tokens;
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) return;
    on_token(token);
    if (state_->length == state_->capacity) return;
    logits = next_logits(token);
  }
}

int32_t sample_token(std::span<const float> logits, const SamplingOptions& options,
                     double uniform) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto more_likely = [&](int32_t a, int32_t b) {
    const float la = logits[static_cast<size_t>(a)], lb = logits[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  };
  if (options.temperature <= 0) return *std::min_element(order.begin(), order.end(), more_likely);
  size_t kept = order.size();
  if (options.top_k > 0) kept = std::min(kept, static_cast<size_t>(options.top_k));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    more_likely);
  order.resize(kept);

  const double largest = logits[static_cast<size_t>(order[0])];
  std::vector<double> weight(kept);
  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    weight[i] = std::exp((logits[static_cast<size_t>(order[i])] - largest) / options.temperature);
    total += weight[i];
  }
  double within = 0;
  for (size_t i = 0; i < kept; ++i) {  // the nucleus ends with the token that reaches top_p
    within += weight[i];
    if (within >= options.top_p * total) {
      kept = i + 1;
      break;
    }
  }
  double left = uniform * within;
  for (size_t i = 0; i + 1 < kept; ++i) {
    left -= weight[i];
    if (left < 0) return order[i];
  }
  return order[kept - 1];
}

}  // namespace borealis
