// The architectures that MODEL_ARCH names: the reference trainer's, under its names and with its
// shapes, and released models under their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/run_config.h"

namespace borealis {

// A default of this model for any row of the contract, by the row's key.
struct PresetDefault {
  std::string_view key;
  std::string value;
};

struct ModelPreset {
  std::vector<std::string_view> accepted = {};  // values of MODEL_ARCH
  std::string name;                             // what paths and reports call it
  bool layers_in_name = false;                  // "-nLayers<L>" is always added
  int64_t num_hidden_layers = 0;
  int64_t hidden_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t intermediate_size = 0;
  int64_t seq_length = 0;
  std::vector<std::string_view> takes = {};  // variables of the shape that the environment may set
  std::vector<PresetDefault> defaults = {};  // where the user sets nothing
  std::string hf_model_type = "llama";
  int64_t vocab_size = 0;  // 0: the tokenizer's
  // Of the default tokenizer, while the corpus that it is made from is not prepared.
  int64_t assumed_vocab_size = 0;
  int64_t max_position_embeddings = 0;  // 0: the sequence length
  std::optional<RopeScaling> rope_scaling = std::nullopt;
  // Where --no-rope-layer-interval cannot say it: one a layer, else empty.
  std::vector<bool> rope_on_layer = {};
  std::string note = {};  // what a report must say of the shape
  // Of a config.json: the vocabulary is exactly that, whatever multiple other models are padded to.
  bool from_hf_config = false;
};

const std::vector<ModelPreset>& model_presets();
const ModelPreset& default_preset();  // where MODEL_ARCH is unset
const ModelPreset* find_preset(std::string_view model_arch);
std::vector<std::string_view> preset_names();  // every accepted value

// N(0, std) of input-side weights: sqrt(2 / (5 hidden_size)), and what the reference makes of it by
// truncating to six decimals first the quotient, then the root.
double exact_init_std(int64_t hidden_size);
double as_run_init_std(int64_t hidden_size);

}  // namespace borealis
