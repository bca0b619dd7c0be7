#include "telemetry/run_configuration.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/lr_decay_style.h"

namespace borealis {
namespace {

class Values {
 public:
  template <typename T>
  void add(std::string name, const T& value) {
    values_.push_back({std::move(name), fmt::format("{}", value)});
  }
  void add_if_given(std::string name, const std::string& value) {
    if (!value.empty()) add(std::move(name), value);
  }
  std::vector<NamedValue> take() { return std::move(values_); }

 private:
  std::vector<NamedValue> values_;
};

void add_shape_and_batch(const RunConfig& config, Values& values) {
  const ModelConfig& model = config.model;
  values.add("MODEL_ARCH", model.name);
  values.add("NLAYERS", model.num_hidden_layers);
  values.add("HIDDEN", model.hidden_size);
  values.add("HEADS", model.num_attention_heads);
  values.add("NUM_KV_HEAD", model.num_key_value_heads);
  values.add("FFN_HIDDEN_SIZE", model.intermediate_size);
  values.add("SEQ", config.batch.seq_length);
  values.add("ROPE_THETA", model.rope_theta);
  values.add("DTYPE", dtype_name(config.dtype));
  values.add("MICRO_BATCH", config.batch.micro_batch_size);
  values.add("GRAD_ACC_STEPS", config.batch.grad_accum_steps);
  values.add("GLOBAL_BATCH", config.batch.global_batch_size);
  values.add("WORLD_SIZE", config.parallel.world_size);
  values.add("TP", config.parallel.tensor_parallel_size);
  values.add("PP", config.parallel.pipeline_parallel_size);
  values.add("SP", config.parallel.sequence_parallel_size);
  values.add("ZERO_STAGE", config.parallel.zero_stage);
  if (config.parallel.zero_hpz_partition_size > 1) {
    values.add("ZERO_HPZ_PARTITION_SIZE", config.parallel.zero_hpz_partition_size);
  }
  if (config.parallel.grad_reduce_in_bf16) values.add("--grad-reduce-in-bf16", 1);
  values.add("USE_ACTIVATION_CHECKPOINTING", config.recompute.enabled ? 1 : 0);
  if (config.recompute.enabled) {
    values.add("ACT_CKPT_NUM_LAYERS", config.recompute.layers_per_segment);
  }
}

void add_optimization(const RunConfig& config, Values& values) {
  const ScheduleConfig& schedule = config.schedule;
  const OptimizerConfig& optimizer = config.optimizer;
  if (config.limits.train_tokens) values.add("TRAIN_TOKENS", *config.limits.train_tokens);
  values.add("TRAIN_ITERS", config.limits.train_iters);
  values.add("OPT", optimizer.name);
  values.add("LR", schedule.learning_rate);
  values.add("LR_DECAY_STYLE", lr_decay_style_name(schedule.decay_style));
  values.add("LR_WARMUP_FRAC", schedule.warmup_fraction);
  if (schedule.decay_iters) values.add("LR_DECAY_ITERS", *schedule.decay_iters);
  if (schedule.min_learning_rate > 0) values.add("--min-lr", schedule.min_learning_rate);
  values.add("WEIGHT_DECAY", optimizer.weight_decay);
  values.add("ADAM_BETA1", optimizer.beta1);
  values.add("ADAM_BETA2", optimizer.beta2);
  values.add("ADAM_EPS", optimizer.eps);
  values.add("CLIP_GRAD", optimizer.max_grad_norm);
  values.add("EVAL_INTERVAL", config.limits.eval_interval);
  values.add("EVAL_ITERS", config.limits.eval_iters);
  values.add("SAVE_INTERVAL", config.limits.save_interval);
  values.add("LOG_INTERVAL", config.limits.log_interval);
  values.add("--seed", config.seed);
}

void add_data(const RunConfig& config, Values& values) {
  if (config.data.mock_data) values.add("--mock-data", "random tokens");
  values.add_if_given("DATA_FILE_LIST", config.data.data_file_list);
  values.add_if_given("DATA_PATH", config.data.data_path);
  values.add("--split", config.data.split);
  values.add_if_given("TOKENIZER_TYPE", config.data.tokenizer_type);
  values.add_if_given("TOKENIZER_MODEL", config.data.tokenizer_model);
  values.add_if_given("CKPT_DIR", config.output.checkpoint_dir);
  if (config.machine.memory_limit_bytes) {
    values.add("MEMORY_LIMIT", *config.machine.memory_limit_bytes);
  }
}

std::string rope_text(const ModelConfig& model) {
  std::string text = fmt::format("θ = {}", model.rope_theta);
  if (model.rope_scaling) {
    text += fmt::format(", Llama 3 scaling by {}", model.rope_scaling->factor);
  }
  std::vector<int64_t> off;
  for (size_t layer = 0; layer < model.rope_on_layer.size(); ++layer) {
    if (!model.rope_on_layer[layer]) off.push_back(static_cast<int64_t>(layer) + 1);
  }
  if (!off.empty()) {
    text += fmt::format("; none in layer{} {}", off.size() == 1 ? "" : "s", fmt::join(off, ", "));
  }
  return text;
}

}  // namespace

std::vector<NamedValue> contract_variables(const RunConfig& config) {
  Values values;
  add_shape_and_batch(config, values);
  add_optimization(config, values);
  add_data(config, values);
  return values.take();
}

std::vector<NamedValue> architecture_values(const RunConfig& config) {
  const ModelConfig& model = config.model;
  Values values;
  values.add("layers (L)", model.num_hidden_layers);
  values.add("hidden size (h)", model.hidden_size);
  values.add("attention heads (a)", model.num_attention_heads);
  values.add("key/value heads (k)", model.num_key_value_heads);
  values.add("head dimension (d)", model.head_dim);
  values.add("feed-forward size (f)", model.intermediate_size);
  values.add("vocabulary (V)", model.vocab_size);
  values.add("sequence length (s)", config.batch.seq_length);
  values.add("output head", model.tie_word_embeddings ? "tied to the embedding" : "untied");
  values.add("rotary positions", rope_text(model));
  values.add("initialization", model.init_style == InitStyle::kAsRun ? "as run" : "meant");
  return values.take();
}

}  // namespace borealis
