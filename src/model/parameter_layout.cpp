#include "model/parameter_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/random_normal.h"
#include "parallel/owned_parameters.h"

namespace borealis {
namespace {

constexpr double kMeantEmbeddingStd = 0.632455532;  // sqrt(2/5), as the reference's flag spells it

// Elements [begin, begin + size) of a parameter of the table.
template <typename T>
void draw(const ParameterTable& table, size_t entry, int64_t begin, int64_t size, uint64_t seed,
          T* values) {
  const Parameter& parameter = table.entries()[entry];
  if (parameter.kind == ParameterKind::kNorm) {
    std::fill_n(values, size, T(1.0f));
  } else {
    fill_normal(RandomStream(seed, entry), parameter.init_std, begin, values, size);
  }
}

// In parts on a device, through the host's memory.
template <typename T>
class WeightWriter {
 public:
  WeightWriter(const ParameterTable& table, uint64_t seed, Device& device)
      : table_(table), seed_(seed), device_(device) {
    if (!device.is_host()) part_.resize(static_cast<size_t>(kPart));
  }

  void write(size_t entry, int64_t begin, int64_t size, T* values) {
    if (device_.is_host()) {
      draw(table_, entry, begin, size, seed_, values);
      return;
    }
    for (int64_t at = 0; at < size; at += kPart) {
      const int64_t count = std::min(kPart, size - at);
      draw(table_, entry, begin + at, count, seed_, part_.data());
      device_.upload(values + at, part_.data(), static_cast<size_t>(count) * sizeof(T));
    }
  }

 private:
  static constexpr int64_t kPart = int64_t{16} << 20;  // elements

  const ParameterTable& table_;
  uint64_t seed_;
  Device& device_;
  std::vector<T> part_;
};

template <typename T>
void initialize(const ParameterBuffers& buffers, std::span<const ShardPiece> pieces, uint64_t seed,
                Device& device) {
  const ParameterTable& table = *buffers.table;
  WeightWriter<T> writer(table, seed, device);
  if (buffers.weights_are_sharded()) {
    for (const ShardPiece& piece : pieces) {
      writer.write(piece.parameter, piece.begin, piece.size(), owned_weights<T>(buffers, piece));
    }
    return;
  }
  for (size_t entry = 0; entry < table.entries().size(); ++entry) {
    const Parameter& parameter = table.entries()[entry];
    writer.write(entry, 0, parameter.size(), buffers.weights_as<T>() + parameter.offset);
  }
}

}  // namespace

ParameterTable make_parameter_table(const ModelConfig& model) {
  const int64_t D = model.hidden_size, F = model.intermediate_size, V = model.vocab_size;
  const int64_t Q = model.query_size(), KV = model.key_value_size();
  const double std = model.init_method_std;
  // The two matrices that write into the residual stream are damped by its number of writers.
  const double output_std = std / std::sqrt(2.0 * static_cast<double>(model.num_hidden_layers));
  const double embedding_std = model.init_style == InitStyle::kMeant ? kMeantEmbeddingStd : std;

  ParameterTable table;
  const auto add = [&](std::string name, ParameterKind kind, std::vector<int64_t> shape,
                       double init_std, bool fused = false) {
    table.add({.name = std::move(name),
               .kind = kind,
               .shape = std::move(shape),
               .offset = 0,
               .weight_decay = kind != ParameterKind::kNorm,
               .init_std = init_std},
              fused);
  };
  const auto matrix = [&](std::string name, int64_t out, int64_t in, double init_std,
                          bool fused = false) {
    add(std::move(name), ParameterKind::kProjection, {out, in}, init_std, fused);
  };
  const auto norm = [&](std::string name) {
    add(std::move(name), ParameterKind::kNorm, {D}, /*init_std=*/0);
  };
  table.begin_unit("embedding");
  add("model.embed_tokens.weight", ParameterKind::kEmbedding, {V, D}, embedding_std);
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    table.begin_unit(fmt::format("layer {}", layer));
    norm(prefix + "input_layernorm.weight");
    matrix(prefix + "self_attn.q_proj.weight", Q, D, std);
    matrix(prefix + "self_attn.k_proj.weight", KV, D, std, /*fused=*/true);
    matrix(prefix + "self_attn.v_proj.weight", KV, D, std, /*fused=*/true);
    matrix(prefix + "self_attn.o_proj.weight", D, Q, output_std);
    norm(prefix + "post_attention_layernorm.weight");
    matrix(prefix + "mlp.gate_proj.weight", F, D, std);
    matrix(prefix + "mlp.up_proj.weight", F, D, std, /*fused=*/true);
    matrix(prefix + "mlp.down_proj.weight", D, F, output_std);
  }
  table.begin_unit("head");
  norm("model.norm.weight");
  if (!model.tie_word_embeddings) add("lm_head.weight", ParameterKind::kHead, {V, D}, std);
  return table;
}

void initialize_parameters(const ParameterBuffers& parameters, uint64_t seed) {
  initialize_parameters(parameters, {}, seed);
}

void initialize_parameters(const ParameterBuffers& parameters, std::span<const ShardPiece> pieces,
                           uint64_t seed, Device& device) {
  if (parameters.dtype == DType::kF32) {
    initialize<float>(parameters, pieces, seed, device);
  } else {
    initialize<bf16>(parameters, pieces, seed, device);
  }
}

}  // namespace borealis
