#include "config/run_config_loader.h"

#include <fmt/format.h>

#include <cstdlib>

#include "config/derive.h"
#include "config/settings.h"

namespace borealis {

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

RunConfig load_run_config(const Environment& environment, const std::vector<std::string>& arguments,
                          const LoadOptions& options) {
  Problems problems;
  RunConfig run;
  Settings settings = read_settings(environment, arguments, options.command, problems);
  const std::optional<ModelPreset> chosen = choose_preset(settings, problems);
  const ModelPreset& preset = chosen ? *chosen : default_preset();
  derive_shape(settings, preset, run, problems);
  run.parallel.world_size = options.world_size;
  run.parallel.hosts = options.hosts;
  // The rest is worth checking only on the shape that was meant.
  if (chosen) {
    derive_model_details(settings, preset, run, problems);
    derive_batch(settings, run, problems);
    derive_train_length(settings, run, problems);
    resolve_tokenizer(settings, preset, environment, options.needs_data, run, problems);
  }
  derive_split(settings, run, problems);
  resolve_data_list(settings, options.needs_data, run, problems);
  derive_tracking(settings, run, problems);
  validate(settings, run, problems);
  validate_ranks(settings, options, run, problems);
  if (problems.any()) problems.raise();
  note_differences(settings, run);
  warn_of_look_alikes(environment, run);
  derive_folders(settings, options, run);
  return run;
}

std::vector<std::string> architecture_lines(const RunConfig& config) {
  const ModelConfig& model = config.model;
  const auto line = [](std::string_view name, int64_t value) {
    return fmt::format("{}: {}", name, value);
  };
  return {
      "ARCHITECTURE",
      "MODEL_ARCH: " + model.name,
      line("HEADS", model.num_attention_heads),
      line("HIDDEN", model.hidden_size),
      line("FFN_HIDDEN_SIZE", model.intermediate_size),
      line("NLAYERS", model.num_hidden_layers),
      line("NUM_KV_HEAD", model.num_key_value_heads),
      line("SEQ", config.batch.seq_length),
      line("VOCAB", model.vocab_size),
      fmt::format("ROPE_THETA: {}", model.rope_theta),
      fmt::format("TIED_HEAD: {}", model.tie_word_embeddings ? 1 : 0),
      line("USE_ACTIVATION_CHECKPOINTING", config.recompute.enabled ? 1 : 0),
      line("ZERO", config.parallel.zero_stage),
  };
}

std::vector<std::string> batch_lines(const RunConfig& config) {
  const ParallelConfig& grid = config.parallel;
  const BatchConfig& batch = config.batch;
  const int64_t largest = grid.world_size * batch.micro_batch_size * batch.grad_accum_steps /
                          grid.tensor_parallel_size / grid.pipeline_parallel_size /
                          grid.sequence_parallel_size;
  std::vector<std::string> lines = {fmt::format(
      "WORLD_SIZE={} MICRO_BATCH={} GRAD_ACC_STEPS={} DP={} GLOBAL_BATCH={} GLOBAL_BATCH_MAX={} "
      "TP={} PP={} SP={}",
      grid.world_size, batch.micro_batch_size, batch.grad_accum_steps, grid.data_parallel_size(),
      batch.global_batch_size, largest, grid.tensor_parallel_size, grid.pipeline_parallel_size,
      grid.sequence_parallel_size)};
  if (config.limits.train_tokens) {
    const int64_t tokens = *config.limits.train_tokens;
    lines.push_back(fmt::format("TRAIN_TOKENS={} ({} billion)", tokens, tokens / 1'000'000'000));
    lines.push_back(fmt::format("TRAIN_ITERS={}", config.limits.train_iters));
  }
  return lines;
}

}  // namespace borealis
