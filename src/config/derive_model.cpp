#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "config/derive.h"
#include "config/hf_preset.h"
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
                 fmt::format("{}={} (default of {})", entry.key, entry.value, preset.name),
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
  model.name = preset.name;
  model.note = preset.note;
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

// A name of the table comes first: a folder of the same name is meant by "./name".
std::optional<ModelPreset> named_model(const Settings& settings, Problems& problems) {
  const std::string name = settings.text("MODEL_ARCH");
  if (const ModelPreset* preset = find_preset(name)) return *preset;
  const HfConfigLookup found = find_hf_config(name, settings.text("BOREALIS_HOME"));
  if (found.file) {
    try {
      return preset_of_hf_config(*found.file);
    } catch (const Error& error) {
      problems.settings.push_back(
          fmt::format("{}: {}", settings.spelled("MODEL_ARCH"), fault_text(error)));
    }
    return std::nullopt;
  }
  if (found.looks_like_a_path) {
    problems.settings.push_back(
        fmt::format("{}: no Hugging Face config.json was found (tried {}); name a folder with one, "
                    "or a known architecture: {}",
                    settings.spelled("MODEL_ARCH"), fmt::join(found.tried, ", "),
                    fmt::join(preset_names(), ", ")));
    return std::nullopt;
  }
  const auto near = nearest_name(name, preset_names());
  problems.settings.push_back(fmt::format(
      "{} is not a known architecture; {}known are {}, or a folder with a Hugging Face config.json",
      settings.spelled("MODEL_ARCH"),
      near ? fmt::format("did you mean {}? ", *near) : std::string(),
      fmt::join(preset_names(), ", ")));
  return std::nullopt;
}

// Where a config.json lists the layers one by one, fewer layers are the first of them.
std::vector<bool> rope_layers(const Settings& settings, const ModelPreset& preset,
                              int64_t num_hidden_layers, Problems& problems) {
  const auto layers = static_cast<size_t>(num_hidden_layers);
  std::vector<bool> rope = preset.rope_on_layer;
  if (!rope.empty() && !settings.given("--no-rope-layer-interval")) {
    if (layers > rope.size()) {
      problems.settings.push_back(
          fmt::format("{}: the no_rope_layers of {} list {} layers and follow no interval; give "
                      "--no-rope-layer-interval for more",
                      settings.spelled("NLAYERS"), settings.text("MODEL_ARCH"), rope.size()));
    }
    rope.resize(layers, true);
    return rope;
  }
  const auto interval =
      static_cast<size_t>(settings.integer("--no-rope-layer-interval").value_or(0));
  rope.clear();
  for (size_t layer = 0; layer < layers; ++layer) {
    rope.push_back(interval == 0 || (layer + 1) % interval != 0);
  }
  return rope;
}

}  // namespace

std::optional<ModelPreset> choose_preset(Settings& settings, Problems& problems) {
  std::optional<ModelPreset> preset = default_preset();
  if (settings.given("MODEL_ARCH")) preset = named_model(settings, problems);
  if (!preset) return std::nullopt;
  put_preset_defaults(*preset, settings, problems);
  if (settings.given("MODEL_ARCH")) check_shape_variables(settings, *preset, problems);
  return preset;
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
  if (preset.from_hf_config && !settings.given("SEQ")) {
    run.notes.push_back(fmt::format("SEQ is unset: {} tokens, the model's positions but at most {}",
                                    run.batch.seq_length, kLongestSeqOfHfConfig));
  }
}

void derive_model_details(const Settings& settings, const ModelPreset& preset, RunConfig& run,
                          Problems& problems) {
  ModelConfig& model = run.model;
  const bool head_dim_given = settings.has("--kv-channels");
  if (!head_dim_given) model.head_dim = model.hidden_size / model.num_attention_heads;
  check_heads(model, head_dim_given, problems);

  model.rope_on_layer = rope_layers(settings, preset, model.num_hidden_layers, problems);
  model.rope_scaling = preset.rope_scaling;
  const bool without_rope = settings.integer("--no-rope-layer-interval").value_or(0) > 0;
  model.hf_model_type = without_rope ? "smollm3" : preset.hf_model_type;

  const int64_t seq = run.batch.seq_length;
  // The length that it is trained at, unless it begins with weights that were trained at more.
  const bool keeps_positions = preset.from_hf_config || run.checkpoint.finetune;
  model.max_position_embeddings =
      keeps_positions ? std::max(preset.max_position_embeddings, seq) : seq;

  // That std is an embedding's; of a head it makes logits of the size of the hidden size.
  if (model.init_style == InitStyle::kMeant && model.tie_word_embeddings) {
    problems.settings.push_back(
        "--init meant begins a model whose head is its own, and this one's is tied to the "
        "embedding: it would begin with losses above 100; leave --init out, or give "
        "--untie-embeddings-and-output-weights");
  }
  if (!settings.has("--init-method-std")) {
    model.init_method_std = model.init_style == InitStyle::kMeant
                                ? exact_init_std(model.hidden_size)
                                : as_run_init_std(model.hidden_size);
  }
}

}  // namespace borealis
