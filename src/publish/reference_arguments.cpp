#include "publish/reference_arguments.h"

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "config/presets.h"
#include "config/recorded_config.h"

namespace borealis {
namespace {

class Arguments {
 public:
  Arguments(const std::map<std::string, std::string>& values, const std::string& name)
      : values_(values), name_(name) {}

  std::string text(const char* key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? "" : found->second;
  }
  bool is_set(const char* key) const {
    const std::string value = text(key);
    return value == "True" || value == "true";
  }
  std::optional<int64_t> number(const char* key) const { return whole_number(text(key)); }
  int64_t count(const char* key) const {
    constexpr int64_t kMost = int64_t{1} << 30;  // so that products stay in 63 bits
    const auto value = number(key);
    if (value && *value >= 1 && *value <= kMost) return *value;
    throw Error(ErrorKind::kData, fmt::format("{} does not say {}", name_, key),
                "give the whole record of a run, with its arguments");
  }

 private:
  const std::map<std::string, std::string>& values_;
  const std::string& name_;
};

std::string family_of_shape(const ModelConfig& model) {
  for (const ModelPreset& preset : model_presets()) {
    if (preset.hidden_size == model.hidden_size &&
        preset.intermediate_size == model.intermediate_size &&
        preset.num_attention_heads == model.num_attention_heads &&
        preset.num_key_value_heads == model.num_key_value_heads) {
      return preset.name;
    }
  }
  return fmt::format("hidden{}-ffn{}", model.hidden_size, model.intermediate_size);
}

}  // namespace

void take_reference_arguments(const std::map<std::string, std::string>& values,
                              const std::string& name, MeasuredRun& run) {
  const Arguments arguments(values, name);
  ModelConfig& model = run.model;
  model.num_hidden_layers = arguments.count("num_layers");
  model.hidden_size = arguments.count("hidden_size");
  model.num_attention_heads = arguments.count("num_attention_heads");
  model.num_key_value_heads = arguments.count("num_key_value_heads");
  model.intermediate_size = arguments.count("ffn_hidden_size");
  model.vocab_size = arguments.count("padded_vocab_size");
  model.head_dim =
      arguments.number("kv_channels").value_or(model.hidden_size / model.num_attention_heads);
  const std::string untied = arguments.text("untie_embeddings_and_output_weights");
  model.tie_word_embeddings = untied == "False" || untied == "false";
  require_shape(model);
  run.seq_length = arguments.count("seq_length");
  run.micro_batch_size = arguments.count("micro_batch_size");
  run.global_batch_size = arguments.count("global_batch_size");
  run.world_size = arguments.count("world_size");
  run.sequence_parallel_size = arguments.number("ds_sequence_parallel_size").value_or(1);
  if (run.sequence_parallel_size < 1 || run.world_size % run.sequence_parallel_size != 0) {
    run.sequence_parallel_size = 1;
  }
  run.grad_accum_steps = run.global_batch_size /
                         (run.micro_batch_size * (run.world_size / run.sequence_parallel_size));
  run.zero_stage = arguments.number("zero_stage").value_or(0);
  run.recompute = arguments.is_set("checkpoint_activations");
  run.dtype = arguments.is_set("bf16") ? "bf16" : arguments.is_set("fp16") ? "fp16" : "fp32";
  run.isa = run.version = "not known";
  run.gemm_tflops = std::numeric_limits<double>::quiet_NaN();
  run.family = family_of_shape(model);
  model.name = fmt::format("{}-nLayers{}", run.family, model.num_hidden_layers);
  for (const auto& [key, value] : values) run.settings.push_back({key, value});
}

}  // namespace borealis
