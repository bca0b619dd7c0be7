#include "config/hf_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/paths.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kPath = "/models/small/config.json";

ModelConfig small_model() {
  ModelConfig model;
  model.name = "small-nLayers4";
  model.hf_model_type = "llama";
  model.num_hidden_layers = 4;
  model.hidden_size = 48;
  model.num_attention_heads = 6;
  model.num_key_value_heads = 2;
  model.head_dim = 10;
  model.intermediate_size = 100;
  model.vocab_size = 300;
  model.max_position_embeddings = 512;
  model.rope_theta = 50000;
  model.rope_on_layer = {true, true, true, true};
  model.rms_norm_eps = 1e-5;
  model.init_method_std = 0.0913;
  return model;
}

Json minimal_config() {
  return {{"model_type", "llama"},    {"vocab_size", 300},      {"hidden_size", 48},
          {"intermediate_size", 100}, {"num_hidden_layers", 2}, {"num_attention_heads", 6},
          {"num_key_value_heads", 2}, {"rms_norm_eps", 1e-5}};
}

ModelConfig parse(const Json& config) { return parse_hf_config(config.dump(), kPath); }

void expect_equal(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.hf_model_type, b.hf_model_type);
  EXPECT_EQ(a.num_hidden_layers, b.num_hidden_layers);
  EXPECT_EQ(a.hidden_size, b.hidden_size);
  EXPECT_EQ(a.num_attention_heads, b.num_attention_heads);
  EXPECT_EQ(a.num_key_value_heads, b.num_key_value_heads);
  EXPECT_EQ(a.head_dim, b.head_dim);
  EXPECT_EQ(a.intermediate_size, b.intermediate_size);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.max_position_embeddings, b.max_position_embeddings);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.rope_on_layer, b.rope_on_layer);
  EXPECT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings);
  EXPECT_EQ(a.init_method_std, b.init_method_std);
  ASSERT_EQ(a.rope_scaling.has_value(), b.rope_scaling.has_value());
  if (!a.rope_scaling) return;
  EXPECT_EQ(a.rope_scaling->factor, b.rope_scaling->factor);
  EXPECT_EQ(a.rope_scaling->low_freq_factor, b.rope_scaling->low_freq_factor);
  EXPECT_EQ(a.rope_scaling->high_freq_factor, b.rope_scaling->high_freq_factor);
  EXPECT_EQ(a.rope_scaling->original_max_position_embeddings,
            b.rope_scaling->original_max_position_embeddings);
}

TEST(HfConfig, RoundTripsLlama) {
  ModelConfig model = small_model();
  model.rope_scaling = RopeScaling{32, 1, 4, 256};
  expect_equal(parse_hf_config(hf_config_text(model, {}, DType::kBF16), kPath), model);
}

TEST(HfConfig, RoundTripsSmolLm3) {
  ModelConfig model = small_model();
  model.hf_model_type = "smollm3";
  model.tie_word_embeddings = true;
  model.rope_on_layer = {true, false, false, true};
  const std::string text = hf_config_text(model, {}, DType::kF32);
  expect_equal(parse_hf_config(text, kPath), model);
  const Json config = Json::parse(text);
  EXPECT_EQ(config["no_rope_layers"], Json({1, 0, 0, 1}));
  EXPECT_EQ(config["architectures"], Json::array({"SmolLM3ForCausalLM"}));
  EXPECT_EQ(config["torch_dtype"], "float32");
}

TEST(HfConfig, WritesEveryKeyThatLoadersRead) {
  const SpecialTokens tokens{.bos = 2, .eos = {1, 7}, .pad = 0};
  const Json config = Json::parse(hf_config_text(small_model(), tokens, DType::kBF16));
  for (const char* key : {"architectures",
                          "model_type",
                          "vocab_size",
                          "hidden_size",
                          "intermediate_size",
                          "num_hidden_layers",
                          "num_attention_heads",
                          "num_key_value_heads",
                          "head_dim",
                          "hidden_act",
                          "rms_norm_eps",
                          "max_position_embeddings",
                          "rope_theta",
                          "rope_scaling",
                          "attention_bias",
                          "mlp_bias",
                          "attention_dropout",
                          "tie_word_embeddings",
                          "initializer_range",
                          "use_cache"}) {
    EXPECT_TRUE(config.contains(key)) << key;
  }
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(Json::parse(hf_config_text(small_model(), tokens, "float16"))["torch_dtype"],
            "float16");
  EXPECT_EQ(config["bos_token_id"], 2);
  EXPECT_EQ(config["eos_token_id"], Json({1, 7}));
  EXPECT_EQ(config["rope_scaling"], nullptr);
  const Json without = Json::parse(hf_config_text(small_model(), {}, DType::kBF16));
  EXPECT_TRUE(
      without.contains("pad_token_id"));  // the class's default may be beyond the vocabulary
  EXPECT_EQ(without["pad_token_id"], nullptr);
}

TEST(HfConfig, RoundTripsSpecialTokens) {
  const SpecialTokens tokens{.bos = 2, .eos = {1, 7}, .pad = std::nullopt};
  for (const std::string& text :
       {hf_config_text(small_model(), tokens, DType::kBF16), hf_generation_config_text(tokens)}) {
    const SpecialTokens read = parse_hf_special_tokens(text, kPath);
    EXPECT_EQ(read.bos, 2);
    EXPECT_EQ(read.eos, tokens.eos);
    EXPECT_FALSE(read.pad.has_value());
  }
  EXPECT_ERROR(parse_hf_special_tokens(R"({"eos_token_id":"x"})", kPath), ErrorKind::kData,
               "'eos_token_id' to \"x\", not a token id");
  EXPECT_ERROR(parse_hf_special_tokens(R"({"eos_token_id":[1,18446744073709551615]})", kPath),
               ErrorKind::kData, "'eos_token_id' to 18446744073709551615, not a token id");
  EXPECT_FALSE(parse_hf_special_tokens(R"({"pad_token_id":-1})", kPath).pad.has_value());
}

// Writing such a value into the message would need a stack as deep.
TEST(HfConfig, RefusesWhatIsNestedDeeplyByItsKind) {
  const size_t depth = 300'000;
  const std::string nested = std::string(depth, '[') + std::string(depth, ']');
  EXPECT_ERROR(parse_hf_config(R"({"model_type":"llama","vocab_size":)" + nested + "}", kPath),
               ErrorKind::kData, "'vocab_size' to [...], not a positive whole number");
}

TEST(HfConfig, FillsInTheClassDefaults) {
  const ModelConfig llama = parse(minimal_config());
  EXPECT_EQ(llama.name, "small");
  EXPECT_EQ(llama.head_dim, 8);
  EXPECT_EQ(llama.rope_theta, 10000);
  EXPECT_FALSE(llama.tie_word_embeddings);
  Json config = minimal_config();
  config["model_type"] = "smollm3";
  config["num_hidden_layers"] = 9;
  const ModelConfig smollm3 = parse(config);
  EXPECT_EQ(smollm3.rope_theta, 2000000);
  EXPECT_TRUE(smollm3.tie_word_embeddings);
  EXPECT_EQ(smollm3.rope_on_layer,
            (std::vector<bool>{true, true, true, false, true, true, true, false, true}));
  config["no_rope_layer_interval"] = 3;
  EXPECT_FALSE(parse(config).rope_on_layer[8]);
}

TEST(HfConfig, ReadsTransformers5Keys) {
  Json config = minimal_config();
  config["rope_parameters"] = {{"rope_type", "llama3"},   {"rope_theta", 500000.0},
                               {"factor", 8.0},           {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 64}};
  config["rope_theta"] = 3.0;
  const ModelConfig model = parse(config);
  EXPECT_EQ(model.rope_theta, 500000);
  ASSERT_TRUE(model.rope_scaling.has_value());
  EXPECT_EQ(model.rope_scaling->original_max_position_embeddings, 64);
}

TEST(HfConfig, ReadsTheGoldens) {
  const std::string folder = BOREALIS_GOLDEN_DIR "/parity/";
  const auto read = [&](const std::string& name) {
    const std::string path = folder + name + "/config.json";
    return parse_hf_config(read_text_file(path), path);
  };
  EXPECT_EQ(read("llama_gqa").num_key_value_heads, 2);
  EXPECT_EQ(read("smollm3_nope").rope_on_layer, (std::vector<bool>{true, true, true, false, true}));
  EXPECT_EQ(read("odd").rope_scaling->factor, 8.0);
}

TEST(HfConfig, RefusesByNameWhatTheDecoderDoesNotCompute) {
  const auto expect_refused = [](const char* key, const Json& value, const std::string& message) {
    Json config = minimal_config();
    config[key] = value;
    EXPECT_ERROR(parse(config), ErrorKind::kData, "/models/small/config.json",
                 "asks for what the decoder does not compute: ", message);
  };
  expect_refused("attention_bias", true, "attention_bias");
  expect_refused("mlp_bias", true, "mlp_bias");
  expect_refused("use_sliding_window", true, "sliding window");
  expect_refused("layer_types", Json::array({"full_attention", "sliding_attention"}),
                 "layer_types with \"sliding_attention\"");
  expect_refused("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}, "RoPE of type 'linear'");
  expect_refused("rope_parameters", {{"rope_type", "yarn"}}, "RoPE of type 'yarn'");
  expect_refused("partial_rotary_factor", 0.5, "partial_rotary_factor");
  expect_refused("hidden_act", "gelu", "hidden_act gelu");
  expect_refused("architectures", Json::array({"LlamaForSequenceClassification"}),
                 "LlamaForSequenceClassification");
  expect_refused("quantization_config", Json::object(), "quantization_config");
  expect_refused("attention_dropout", 0.1, "attention_dropout 0.1");
}

TEST(HfConfig, RefusesRopeSettingsOfTwoKinds) {
  Json config = minimal_config();
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 8.0}};
  EXPECT_ERROR(parse(config), ErrorKind::kData, "a rope_parameters and a rope_scaling that differ");
  config["rope_scaling"] = {{"type", "default"}};  // the same in the older spelling
  EXPECT_EQ(parse(config).rope_theta, 5e5);
  config.erase("rope_scaling");
  config["rope_parameters"] = {{"full_attention", {{"rope_type", "yarn"}}}};
  EXPECT_ERROR(parse(config), ErrorKind::kData, "RoPE settings for each kind of layer");
}

TEST(HfConfig, NamesAllRefusalsAtOnce) {
  Json config = minimal_config();
  config["attention_bias"] = true;
  config["mlp_bias"] = true;
  EXPECT_ERROR(parse(config), ErrorKind::kData, "attention_bias, mlp_bias");
}

TEST(HfConfig, RefusesOtherArchitectures) {
  Json config = minimal_config();
  config["model_type"] = "mistral";
  EXPECT_ERROR(parse(config), ErrorKind::kData, "a model of type 'mistral'", "llama and smollm3");
  config.erase("model_type");
  EXPECT_ERROR(parse(config), ErrorKind::kData,
               "has no model_type, so it is not the config.json of a Hugging Face model");
}

TEST(HfConfig, RejectsBrokenContent) {
  const auto expect_rejected = [](const char* key, const Json& value, const std::string& message) {
    Json config = minimal_config();
    config[key] = value;
    EXPECT_ERROR(parse(config), ErrorKind::kData, message);
  };
  EXPECT_ERROR(parse_hf_config("{", kPath), ErrorKind::kData, "is not a JSON object");
  EXPECT_ERROR(parse_hf_config("[]", kPath), ErrorKind::kData, "is not a JSON object");
  expect_rejected("hidden_size", nullptr, "has no key 'hidden_size'");
  expect_rejected("hidden_size", "48", "'hidden_size' to \"48\", not a positive whole number");
  expect_rejected("vocab_size", 0, "'vocab_size' to 0");
  expect_rejected("vocab_size", -5, "'vocab_size' to -5");
  expect_rejected("vocab_size", 1.5, "'vocab_size' to 1.5");
  expect_rejected("vocab_size", UINT64_MAX, "'vocab_size' to 18446744073709551615");
  expect_rejected("rms_norm_eps", 0.0, "'rms_norm_eps' to 0.0, not a positive number");
  expect_rejected("tie_word_embeddings", 1, "'tie_word_embeddings' to 1, not true or false");
  expect_rejected("model_type", 3, "'model_type' to 3, not text");
  expect_rejected("num_key_value_heads", 4, "6 attention heads, not a multiple of its 4");
  expect_rejected("num_attention_heads", 14, "hidden_size 48 is not a multiple of 14 heads");
  expect_rejected("head_dim", 15, "an odd head_dim of 15");
  expect_rejected("num_hidden_layers", 2000000, "claims 2000000 layers");
  expect_rejected("rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}},
                  "has no key 'low_freq_factor'");
  expect_rejected("rope_scaling", 3, "'rope_scaling' to 3, not an object");
}

TEST(HfConfig, RejectsARopeListOfAnotherLength) {
  Json config = minimal_config();
  config["model_type"] = "smollm3";
  config["no_rope_layers"] = {1, 0, 1};
  EXPECT_ERROR(parse(config), ErrorKind::kData, "not a list of 2 entries");
  config["no_rope_layers"] = {1, 2};
  EXPECT_ERROR(parse(config), ErrorKind::kData, "'no_rope_layers' to 2, not 0 or 1");
}

}  // namespace
}  // namespace borealis
