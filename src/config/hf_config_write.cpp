#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/json_excerpt.h"
#include "config/hf_config.h"

namespace borealis {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kTransformersVersion = "4.55.0";  // whose spelling the keys follow
constexpr double kDefaultInitializerRange = 0.02;       // transformers' own
constexpr int64_t kNoRopeInterval = 4;  // unused beside no_rope_layers; the class's default

OrderedJson optional_id(std::optional<int64_t> id) {
  return id ? OrderedJson(*id) : OrderedJson(nullptr);
}

OrderedJson eos_ids(const SpecialTokens& tokens) {
  if (tokens.eos.empty()) return nullptr;
  return tokens.eos.size() == 1 ? OrderedJson(tokens.eos.front()) : OrderedJson(tokens.eos);
}

OrderedJson rope_scaling_json(const std::optional<RopeScaling>& scaling) {
  if (!scaling) return nullptr;
  return {{"rope_type", "llama3"},
          {"factor", scaling->factor},
          {"low_freq_factor", scaling->low_freq_factor},
          {"high_freq_factor", scaling->high_freq_factor},
          {"original_max_position_embeddings", scaling->original_max_position_embeddings}};
}

void add_smollm3_keys(OrderedJson& config, const ModelConfig& model) {
  OrderedJson no_rope_layers =
      OrderedJson::array();  // 1: this layer does use RoPE, whatever the key's name
  OrderedJson layer_types = OrderedJson::array();
  for (const bool rope : model.rope_on_layer) {
    no_rope_layers.push_back(rope ? 1 : 0);
    layer_types.push_back("full_attention");
  }
  config["no_rope_layers"] = no_rope_layers;
  config["no_rope_layer_interval"] = kNoRopeInterval;
  config["layer_types"] = layer_types;
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
  config["max_window_layers"] = model.num_hidden_layers;
}

}  // namespace

std::string hf_architecture(const ModelConfig& model) {
  if (model.hf_model_type == "smollm3") return "SmolLM3ForCausalLM";
  CHECK(model.hf_model_type == "llama", model.hf_model_type);
  return "LlamaForCausalLM";
}

std::string hf_config_text(const ModelConfig& model, const SpecialTokens& tokens, DType dtype) {
  return hf_config_text(model, tokens, dtype == DType::kF32 ? "float32" : "bfloat16");
}

std::string hf_config_text(const ModelConfig& model, const SpecialTokens& tokens,
                           std::string_view torch_dtype) {
  CHECK(static_cast<int64_t>(model.rope_on_layer.size()) == model.num_hidden_layers);
  OrderedJson config = {
      {"_name_or_path", model.name},
      {"architectures", OrderedJson::array({hf_architecture(model)})},
      {"model_type", model.hf_model_type},
      {"vocab_size", model.vocab_size},
      {"hidden_size", model.hidden_size},
      {"intermediate_size", model.intermediate_size},
      {"num_hidden_layers", model.num_hidden_layers},
      {"num_attention_heads", model.num_attention_heads},
      {"num_key_value_heads", model.num_key_value_heads},
      {"head_dim", model.head_dim},
      {"hidden_act", "silu"},
      {"rms_norm_eps", model.rms_norm_eps},
      {"max_position_embeddings", model.max_position_embeddings},
      {"rope_theta", model.rope_theta},
      {"rope_scaling", rope_scaling_json(model.rope_scaling)},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"attention_dropout", 0.0},
      {"tie_word_embeddings", model.tie_word_embeddings},
      {"initializer_range",
       model.init_method_std > 0 ? model.init_method_std : kDefaultInitializerRange},
      {"pretraining_tp", 1},
      {"bos_token_id", optional_id(tokens.bos)},
      {"eos_token_id", eos_ids(tokens)},
      {"pad_token_id", optional_id(tokens.pad)},
      {"use_cache", true},
      {"torch_dtype", torch_dtype},
      {"transformers_version", kTransformersVersion},
  };
  if (model.hf_model_type == "smollm3") {
    add_smollm3_keys(config, model);
  } else {
    for (const bool rope : model.rope_on_layer) CHECK(rope, "llama has RoPE in every layer");
  }
  return json_text(config, 2) + "\n";
}

std::string hf_generation_config_text(const SpecialTokens& tokens) {
  const OrderedJson config = {{"_from_model_config", true},
                              {"bos_token_id", optional_id(tokens.bos)},
                              {"eos_token_id", eos_ids(tokens)},
                              {"pad_token_id", optional_id(tokens.pad)},
                              {"transformers_version", kTransformersVersion}};
  return json_text(config, 2) + "\n";
}

}  // namespace borealis
