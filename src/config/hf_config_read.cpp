#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/json_number.h"
#include "config/hf_config.h"
#include "config/option_limits.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxSize = int64_t{1} << 31;  // keeps products of two sizes far from overflow

[[noreturn]] void reject(const std::filesystem::path& path, const std::string& problem,
                         const std::string& remedy = "correct the file or export it again") {
  throw Error(ErrorKind::kData, fmt::format("{} {}", path.string(), problem), remedy);
}

// Typed access to the keys of one JSON object. A key of value null counts as absent.
class Keys {
 public:
  Keys(const Json& object, const std::filesystem::path& path) : object_(object), path_(path) {}

  bool has(const char* key) const { return value(key) != nullptr; }

  int64_t size(const char* key, std::optional<int64_t> absent = std::nullopt) const {
    const Json* found = value(key);
    if (found == nullptr && absent) return *absent;
    require(found, key);
    if (const auto number = whole_number_in(*found, 1, kMaxSize)) return *number;
    wrong(key, *found, "a positive whole number");
  }

  double number(const char* key, std::optional<double> absent = std::nullopt) const {
    const Json* found = value(key);
    if (found == nullptr && absent) return *absent;
    require(found, key);
    if (!found->is_number() || !(found->get<double>() > 0)) wrong(key, *found, "a positive number");
    return found->get<double>();
  }

  bool flag(const char* key, bool absent) const {
    const Json* found = value(key);
    if (found == nullptr) return absent;
    if (!found->is_boolean()) wrong(key, *found, "true or false");
    return found->get<bool>();
  }

  std::string text(const char* key, const std::string& absent = "") const {
    const Json* found = value(key);
    if (found == nullptr) return absent;
    if (!found->is_string()) wrong(key, *found, "text");
    return found->get<std::string>();
  }

  const Json* value(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  [[noreturn]] void wrong(const char* key, const Json& value, const char* expected) const {
    reject(path_, fmt::format("sets '{}' to {}, not {}", key, json_excerpt(value), expected));
  }

 private:
  void require(const Json* found, const char* key) const {
    if (found == nullptr) reject(path_, fmt::format("has no key '{}'", key));
  }

  const Json& object_;
  const std::filesystem::path& path_;
};

Json parse_object(std::string_view text, const std::filesystem::path& path) {
  Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) reject(path, "is not a JSON object");
  return config;
}

// What the classes assume where config.json is silent.
struct ClassDefaults {
  const char* architecture;
  std::optional<int64_t> num_key_value_heads;  // none: as many as heads
  int64_t max_position_embeddings;
  double rope_theta;
  bool tie_word_embeddings;
};

ClassDefaults class_defaults(const std::string& model_type, const std::filesystem::path& path) {
  if (model_type == "llama") return {"LlamaForCausalLM", std::nullopt, 2048, 10000.0, false};
  if (model_type == "smollm3") return {"SmolLM3ForCausalLM", 4, 32768, 2000000.0, true};
  if (model_type.empty()) {
    reject(path, "has no model_type, so it is not the config.json of a Hugging Face model",
           "give the folder of a LlamaForCausalLM or a SmolLM3ForCausalLM");
  }
  reject(path, fmt::format("describes a model of type '{}'", model_type),
         "Borealis computes the types llama and smollm3");
}

// The parts of the RoPE settings; transformers 5 keeps them in one object, transformers 4 in two.
struct RopeKeys {
  const Json* parameters;  // rope_parameters, else rope_scaling; nullptr where absent
  std::string type;
};

// Of either object, in one spelling and without the base, which the older one has beside it.
Json scaling_of(Json object) {
  if (!object.is_object()) return object;
  if (!object.contains("rope_type")) object["rope_type"] = object.value("type", Json("default"));
  object.erase("type");
  object.erase("rope_theta");
  return object;
}

RopeKeys rope_keys(const Keys& keys, const std::filesystem::path& path) {
  const Json* object = keys.value("rope_parameters");
  const Json* const scaling = keys.value("rope_scaling");
  if (object != nullptr && scaling != nullptr && scaling_of(*object) != scaling_of(*scaling)) {
    reject(path, "has a rope_parameters and a rope_scaling that differ",
           "remove the one that the model was not trained with");
  }
  if (object == nullptr) object = scaling;
  if (object == nullptr) return {nullptr, "default"};
  if (!object->is_object()) keys.wrong("rope_scaling", *object, "an object");
  if (std::ranges::any_of(*object, [](const Json& value) { return value.is_object(); })) {
    reject(path, "has RoPE settings for each kind of layer",
           "Borealis computes models that have the same on all layers");
  }
  const Keys inner(*object, path);
  return {object, inner.text("rope_type", inner.text("type", "default"))};
}

void read_rope(const Keys& keys, const std::filesystem::path& path, double default_theta,
               ModelConfig& model) {
  const RopeKeys rope = rope_keys(keys, path);
  model.rope_theta = keys.number("rope_theta", default_theta);
  if (rope.parameters == nullptr) return;
  const Keys inner(*rope.parameters, path);
  model.rope_theta = inner.number("rope_theta", model.rope_theta);
  if (rope.type != "llama3") return;
  model.rope_scaling =
      RopeScaling{.factor = inner.number("factor"),
                  .low_freq_factor = inner.number("low_freq_factor"),
                  .high_freq_factor = inner.number("high_freq_factor"),
                  .original_max_position_embeddings = inner.size("original_max_position_embeddings",
                                                                 model.max_position_embeddings)};
  if (model.rope_scaling->high_freq_factor <= model.rope_scaling->low_freq_factor) {
    reject(path, "has a rope_scaling whose high_freq_factor is not above its low_freq_factor");
  }
}

std::vector<bool> read_rope_layers(const Keys& keys, const std::filesystem::path& path,
                                   const ModelConfig& model) {
  std::vector<bool> rope_on_layer(static_cast<size_t>(model.num_hidden_layers), true);
  if (model.hf_model_type != "smollm3") return rope_on_layer;
  const Json* list = keys.value("no_rope_layers");
  if (list == nullptr) {
    const auto interval = static_cast<size_t>(keys.size("no_rope_layer_interval", 4));
    for (size_t i = 0; i < rope_on_layer.size(); ++i) rope_on_layer[i] = (i + 1) % interval != 0;
    return rope_on_layer;
  }
  if (!list->is_array() || list->size() != rope_on_layer.size()) {
    reject(path, fmt::format("has a no_rope_layers that is not a list of {} entries",
                             rope_on_layer.size()));
  }
  for (size_t i = 0; i < rope_on_layer.size(); ++i) {
    const Json& entry = (*list)[i];
    if (entry != 0 && entry != 1) keys.wrong("no_rope_layers", entry, "0 or 1 in every entry");
    rope_on_layer[i] = entry == 1;
  }
  return rope_on_layer;
}

void reject_unsupported(const Keys& keys, const std::filesystem::path& path,
                        const char* architecture) {
  std::vector<std::string> reasons;
  const auto unless = [&](bool fine, std::string reason) {
    if (!fine) reasons.push_back(std::move(reason));
  };
  if (const Json* list = keys.value("architectures")) {
    unless(*list == Json::array({architecture}),
           fmt::format("architectures {}", json_excerpt(*list)));
  }
  const std::string activation = keys.text("hidden_act", "silu");
  unless(activation == "silu" || activation == "swish", fmt::format("hidden_act {}", activation));
  unless(!keys.flag("attention_bias", false), "attention_bias");
  unless(!keys.flag("mlp_bias", false), "mlp_bias");
  unless(!keys.flag("use_sliding_window", false), "a sliding window (use_sliding_window)");
  if (const Json* types = keys.value("layer_types")) {
    for (const Json& type : *types) {
      if (type != "full_attention") {
        unless(false, fmt::format("layer_types with {}", json_excerpt(type)));
        break;
      }
    }
  }
  const RopeKeys rope = rope_keys(keys, path);
  unless(rope.type == "default" || rope.type == "llama3",
         fmt::format("RoPE of type '{}'", rope.type));
  const Json one = 1.0;
  const bool partial =
      (keys.has("partial_rotary_factor") && *keys.value("partial_rotary_factor") != one) ||
      (rope.parameters != nullptr && rope.parameters->value("partial_rotary_factor", one) != one);
  unless(!partial, "partial_rotary_factor");
  unless(!keys.has("quantization_config"), "quantized weights (quantization_config)");
  if (const Json* dropout = keys.value("attention_dropout")) {
    unless(*dropout == 0, fmt::format("attention_dropout {}", json_excerpt(*dropout)));
  }
  if (reasons.empty()) return;
  reject(path,
         fmt::format("asks for what the decoder does not compute: {}", fmt::join(reasons, ", ")),
         "use a model without it");
}

void check_sizes(const ModelConfig& model, const std::filesystem::path& path) {
  if (model.num_attention_heads % model.num_key_value_heads != 0) {
    reject(path, fmt::format("has {} attention heads, not a multiple of its {} key/value heads",
                             model.num_attention_heads, model.num_key_value_heads));
  }
  if (model.head_dim % 2 != 0) {
    reject(path, fmt::format("has an odd head_dim of {}, which RoPE cannot split in halves",
                             model.head_dim));
  }
  if (model.num_hidden_layers > kMaxLayers) {
    reject(path, fmt::format("claims {} layers", model.num_hidden_layers));
  }
}

int64_t default_head_dim(const ModelConfig& model, const Keys& keys,
                         const std::filesystem::path& path) {
  if (!keys.has("head_dim") && model.hidden_size % model.num_attention_heads != 0) {
    reject(path, fmt::format("has no head_dim, and hidden_size {} is not a multiple of {} heads",
                             model.hidden_size, model.num_attention_heads));
  }
  return std::max<int64_t>(1, model.hidden_size / model.num_attention_heads);
}

// Absent where a vocabulary has no such token.
std::optional<int64_t> token_id(const Keys& keys, const char* key, const Json* value) {
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > uint64_t{kMaxSize}) {
    keys.wrong(key, *value, "a token id");
  }
  return value->get<int64_t>();
}

}  // namespace

ModelConfig parse_hf_config(std::string_view text, const std::filesystem::path& path) {
  const Json config = parse_object(text, path);
  const Keys keys(config, path);
  ModelConfig model;
  model.hf_model_type = keys.text("model_type");
  const ClassDefaults defaults = class_defaults(model.hf_model_type, path);
  reject_unsupported(keys, path, defaults.architecture);
  model.name = keys.text("_name_or_path");
  if (model.name.empty()) model.name = path.parent_path().filename().string();
  model.vocab_size = keys.size("vocab_size");
  model.hidden_size = keys.size("hidden_size");
  model.intermediate_size = keys.size("intermediate_size");
  model.num_hidden_layers = keys.size("num_hidden_layers");
  model.num_attention_heads = keys.size("num_attention_heads");
  model.num_key_value_heads = keys.size(
      "num_key_value_heads", defaults.num_key_value_heads.value_or(model.num_attention_heads));
  model.head_dim = keys.size("head_dim", default_head_dim(model, keys, path));
  model.max_position_embeddings =
      keys.size("max_position_embeddings", defaults.max_position_embeddings);
  model.rms_norm_eps = keys.number("rms_norm_eps", 1e-6);
  model.tie_word_embeddings = keys.flag("tie_word_embeddings", defaults.tie_word_embeddings);
  model.init_method_std = keys.number("initializer_range", 0.02);
  check_sizes(model, path);
  read_rope(keys, path, defaults.rope_theta, model);
  model.rope_on_layer = read_rope_layers(keys, path, model);
  return model;
}

SpecialTokens parse_hf_special_tokens(std::string_view text, const std::filesystem::path& path) {
  const Json config = parse_object(text, path);
  const Keys keys(config, path);
  const auto id = [&](const char* key) -> std::optional<int64_t> {
    const Json* value = keys.value(key);
    // -1 stands for "none" in configurations of the first Llama.
    if (value != nullptr && *value == -1) return std::nullopt;
    return token_id(keys, key, value);
  };
  SpecialTokens tokens{.bos = id("bos_token_id"), .eos = {}, .pad = id("pad_token_id")};
  const Json* eos = keys.value("eos_token_id");
  if (eos != nullptr && eos->is_array()) {
    for (const Json& value : *eos) {
      tokens.eos.push_back(token_id(keys, "eos_token_id", &value).value());
    }
  } else if (const std::optional<int64_t> single = id("eos_token_id")) {
    tokens.eos.push_back(*single);
  }
  return tokens;
}

}  // namespace borealis
