#include "config/hf_preset.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/json_excerpt.h"
#include "config/hf_config.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// What --no-rope-layer-interval would have to be for these layers; none if nothing would do.
std::optional<int64_t> no_rope_interval(const std::vector<bool>& rope_on_layer) {
  const auto first = std::ranges::find(rope_on_layer, false);
  if (first == rope_on_layer.end()) return 0;
  const auto interval = static_cast<size_t>(first - rope_on_layer.begin()) + 1;
  for (size_t layer = 0; layer < rope_on_layer.size(); ++layer) {
    if (rope_on_layer[layer] != ((layer + 1) % interval != 0)) return std::nullopt;
  }
  return static_cast<int64_t>(interval);
}

// What the contract has rows for: the user's own setting beats it, and its range is checked.
std::vector<PresetDefault> defaults_of(const ModelConfig& model, const fs::path& folder) {
  std::vector<PresetDefault> defaults = {
      {"NLAYERS", fmt::format("{}", model.num_hidden_layers)},
      {"HIDDEN", fmt::format("{}", model.hidden_size)},
      {"HEADS", fmt::format("{}", model.num_attention_heads)},
      {"NUM_KV_HEAD", fmt::format("{}", model.num_key_value_heads)},
      {"FFN_HIDDEN_SIZE", fmt::format("{}", model.intermediate_size)},
      {"--kv-channels", fmt::format("{}", model.head_dim)},
      {"ROPE_THETA", fmt::format("{}", model.rope_theta)},
      {"--rms-norm-eps", fmt::format("{}", model.rms_norm_eps)},
      {"--tie-word-embeddings", model.tie_word_embeddings ? "true" : "false"},
      {"--init-method-std", fmt::format("{}", model.init_method_std)},
      {"TOKENIZER_MODEL", folder.string()}};
  if (const auto interval = no_rope_interval(model.rope_on_layer)) {
    defaults.push_back({"--no-rope-layer-interval", fmt::format("{}", *interval)});
  }
  return defaults;
}

}  // namespace

HfConfigLookup find_hf_config(const std::string& model_arch, const std::string& home) {
  HfConfigLookup lookup;
  std::vector<fs::path> places = {model_arch};
  if (!home.empty() && places.front().is_relative()) places.push_back(fs::path(home) / model_arch);
  lookup.looks_like_a_path =
      model_arch.find('/') != std::string::npos || model_arch.ends_with(".json");
  std::error_code ignored;
  for (const fs::path& place : places) {
    const bool folder = fs::is_directory(place, ignored);
    if (folder) lookup.looks_like_a_path = true;
    const fs::path file = folder ? place / "config.json" : place;
    if (fs::is_regular_file(file, ignored)) {
      lookup.file =
          fs::canonical(file.parent_path().empty() ? "." : file.parent_path()) / file.filename();
      return lookup;
    }
    lookup.tried.push_back(file.string());
  }
  return lookup;
}

ModelPreset preset_of_hf_config(const fs::path& file) {
  const ModelConfig model = parse_hf_config(read_json_text(file), file);
  const fs::path folder = file.parent_path();
  ModelPreset preset{.name = folder.filename().string(),
                     .num_hidden_layers = model.num_hidden_layers,
                     .hidden_size = model.hidden_size,
                     .num_attention_heads = model.num_attention_heads,
                     .num_key_value_heads = model.num_key_value_heads,
                     .intermediate_size = model.intermediate_size,
                     .takes = {"NLAYERS", "SEQ"},
                     .defaults = defaults_of(model, folder),
                     .hf_model_type = model.hf_model_type,
                     .vocab_size = model.vocab_size,
                     .max_position_embeddings = model.max_position_embeddings,
                     .rope_scaling = model.rope_scaling,
                     .note = fmt::format("the architecture of {}.", file.string()),
                     .from_hf_config = true};
  preset.seq_length = std::clamp<int64_t>(model.max_position_embeddings, 2, kLongestSeqOfHfConfig);
  if (preset.name.empty()) preset.name = "model";  // of the root folder
  if (!no_rope_interval(model.rope_on_layer)) preset.rope_on_layer = model.rope_on_layer;
  return preset;
}

}  // namespace borealis
