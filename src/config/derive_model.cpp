#include <fmt/format.h>

#include <array>
#include <utility>

#include "config/derive.h"
#include "config/nearest.h"

namespace borealis {
namespace {

struct ShapeVariable {
  std::string_view key;
  int64_t (*of_preset)(const ModelPreset&);
};

constexpr std::array kShapeVariables = {
    ShapeVariable{"NLAYERS", [](const ModelPreset& p) { return p.num_hidden_layers; }},
    ShapeVariable{"HIDDEN", [](const ModelPreset& p) { return p.hidden_size; }},
    ShapeVariable{"HEADS", [](const ModelPreset& p) { return p.num_attention_heads; }},
    ShapeVariable{"NUM_KV_HEAD", [](const ModelPreset& p) { return p.num_key_value_heads; }},
    ShapeVariable{"FFN_HIDDEN_SIZE", [](const ModelPreset& p) { return p.intermediate_size; }},
    ShapeVariable{"SEQ", [](const ModelPreset& p) { return p.seq_length; }},
};

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  for (const std::string_view candidate : names) {
    if (candidate == name) return true;
  }
  return false;
}

void put_preset_defaults(const ModelPreset& preset, Settings& settings, Problems& problems) {
  // The model's final learning rate belongs to its own learning rate and to its own style.
  const bool own_rate = !settings.given("LR") && !settings.given("LR_DECAY_STYLE");
  // A length in tokens replaces the model's in iterations.
  const bool own_length = !settings.given("TRAIN_TOKENS");
  for (const PresetDefault& entry : preset.defaults) {
    if (entry.key == "--min-lr" && !own_rate) continue;
    if (entry.key == "TRAIN_ITERS" && !own_length) continue;
    const OptionRow& row = option_row(entry.key);
    settings.put(row, Source::kModel, entry.value,
                 fmt::format("{}{}{} (default of {})", entry.key, row.variable.empty() ? " " : "=",
                             entry.value, preset.name),
                 problems);
  }
}

// The environment may change only what the model takes; elsewhere the reference silently ignores
// it, which hides mistakes.
void check_shape_variables(const Settings& settings, const ModelPreset& preset,
                           Problems& problems) {
  for (const ShapeVariable& shape : kShapeVariables) {
    const int64_t own = shape.of_preset(preset);
    if (settings.source(shape.key) != Source::kEnvironment || contains(preset.takes, shape.key) ||
        settings.integer(shape.key) == own) {
      continue;
    }
    problems.settings.push_back(
        fmt::format("{}: MODEL_ARCH={} fixes {} at {}; unset it, or change the shape with {} {}",
                    settings.spelled(shape.key), settings.text("MODEL_ARCH"), shape.key, own,
                    option_row(shape.key).flags.front(), *settings.integer(shape.key)));
  }
}

bool differs_beyond_layers(const ModelConfig& model, const ModelPreset& preset) {
  return model.hidden_size != preset.hidden_size ||
         model.num_attention_heads != preset.num_attention_heads ||
         model.num_key_value_heads != preset.num_key_value_heads ||
         model.intermediate_size != preset.intermediate_size;
}

// Where the shape is not quite the preset's, name and note must not claim it.
void name_model(const Settings& settings, const ModelPreset& preset, RunConfig& run) {
  ModelConfig& model = run.model;
  const bool other_layers = model.num_hidden_layers != preset.num_hidden_layers;
  const bool other_shape = differs_beyond_layers(model, preset);
  model.name = std::string(preset.name);
  model.note = std::string(preset.note);
  if (!settings.given("MODEL_ARCH") && (other_layers || other_shape)) {
    model.name = "custom";
    model.note = "custom is a shape of the user's own.";
    return;
  }
  const bool released = preset.vocab_size > 0;
  if (preset.layers_in_name || (released && other_layers)) {
    model.name += fmt::format("-nLayers{}", model.num_hidden_layers);
  }
  if (other_layers) {
    model.note += fmt::format(" Here with {} layers instead of {}.", model.num_hidden_layers,
                              preset.num_hidden_layers);
  }
  if (other_shape) model.note += " Here with another shape, by flags.";
  model.note = fmt::format("{} is {}", model.name, model.note);
}

void check_heads(const ModelConfig& model, bool head_dim_given, Problems& problems) {
  if (!head_dim_given && model.hidden_size % model.num_attention_heads != 0) {
    problems.settings.push_back(fmt::format(
        "HIDDEN={} is not a multiple of HEADS={}; change one of them, or give the width of a head "
        "with --kv-channels",
        model.hidden_size, model.num_attention_heads));
  } else if (model.head_dim % 2 != 0) {
    problems.settings.push_back(fmt::format(
        "a head of width {} is odd, and RoPE turns pairs; make HIDDEN / HEADS even, or give "
        "--kv-channels",
        model.head_dim));
  }
  if (model.num_attention_heads % model.num_key_value_heads != 0) {
    problems.settings.push_back(
        fmt::format("HEADS={} is not a multiple of NUM_KV_HEAD={}; each key/value head serves the "
                    "same number of query heads",
                    model.num_attention_heads, model.num_key_value_heads));
  }
}

}  // namespace

const ModelPreset& choose_preset(Settings& settings, Problems& problems) {
  const ModelPreset* preset = &default_preset();
  if (settings.given("MODEL_ARCH")) {
    const std::string name = settings.text("MODEL_ARCH");
    preset = find_preset(name);
    if (preset == nullptr) {
      const auto near = nearest_name(name, preset_names());
      problems.settings.push_back(fmt::format(
          "{} is not a known architecture; {}known are {}", settings.spelled("MODEL_ARCH"),
          near ? fmt::format("did you mean {}? ", *near) : std::string(),
          fmt::join(preset_names(), ", ")));
      return default_preset();
    }
  }
  put_preset_defaults(*preset, settings, problems);
  if (settings.given("MODEL_ARCH")) check_shape_variables(settings, *preset, problems);
  return *preset;
}

void derive_shape(const Settings& settings, const ModelPreset& preset, RunConfig& run,
                  Problems& problems) {
  ModelConfig& model = run.model;
  model.num_hidden_layers = preset.num_hidden_layers;
  model.hidden_size = preset.hidden_size;
  model.num_attention_heads = preset.num_attention_heads;
  model.num_key_value_heads = preset.num_key_value_heads;
  model.intermediate_size = preset.intermediate_size;
  run.batch.seq_length = preset.seq_length;
  for (const auto& [key, setting] : settings.all()) {
    if (setting.row->store != nullptr) setting.row->store(run, setting.value);
  }
  constexpr std::string_view kTie = "--tie-word-embeddings";
  constexpr std::string_view kUntie = "--untie-embeddings-and-output-weights";
  if (settings.is_on(kUntie)) {
    if (settings.given(kTie) && model.tie_word_embeddings) {
      problems.settings.push_back(
          fmt::format("{} and {} contradict each other; give one of them", kTie, kUntie));
    }
    model.tie_word_embeddings = false;
  }
  name_model(settings, preset, run);
}

void derive_model_details(const Settings& settings, const ModelPreset& preset, RunConfig& run,
                          Problems& problems) {
  ModelConfig& model = run.model;
  const bool head_dim_given = settings.given("--kv-channels");
  if (!head_dim_given) model.head_dim = model.hidden_size / model.num_attention_heads;
  check_heads(model, head_dim_given, problems);

  const int64_t interval = settings.integer("--no-rope-layer-interval").value_or(0);
  model.rope_on_layer.clear();
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    model.rope_on_layer.push_back(interval == 0 || (layer + 1) % interval != 0);
  }
  model.rope_scaling = preset.rope_scaling;
  model.hf_model_type = interval > 0 ? "smollm3" : std::string(preset.hf_model_type);

  const int64_t seq = run.batch.seq_length;
  model.max_position_embeddings =
      preset.max_position_embeddings > 0 ? std::max(preset.max_position_embeddings, seq) : 16 * seq;

  if (!settings.given("--init-method-std")) {
    model.init_method_std = model.init_style == InitStyle::kMeant
                                ? exact_init_std(model.hidden_size)
                                : as_run_init_std(model.hidden_size);
  }
}

}  // namespace borealis
