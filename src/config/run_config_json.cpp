#include "config/run_config_json.h"

#include <nlohmann/json.hpp>

#include "config/lr_decay_style.h"

namespace borealis {
namespace {

using nlohmann::json;

template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json model_json(const ModelConfig& model) {
  json scaling = nullptr;
  if (model.rope_scaling) {
    scaling = {
        {"rope_type", "llama3"},
        {"factor", model.rope_scaling->factor},
        {"low_freq_factor", model.rope_scaling->low_freq_factor},
        {"high_freq_factor", model.rope_scaling->high_freq_factor},
        {"original_max_position_embeddings", model.rope_scaling->original_max_position_embeddings}};
  }
  return {{"name", model.name},
          {"hf_model_type", model.hf_model_type},
          {"note", model.note},
          {"num_hidden_layers", model.num_hidden_layers},
          {"hidden_size", model.hidden_size},
          {"num_attention_heads", model.num_attention_heads},
          {"num_key_value_heads", model.num_key_value_heads},
          {"head_dim", model.head_dim},
          {"intermediate_size", model.intermediate_size},
          {"vocab_size", model.vocab_size},
          {"max_position_embeddings", model.max_position_embeddings},
          {"rope_theta", model.rope_theta},
          {"rope_scaling", scaling},
          {"rope_on_layer", model.rope_on_layer},
          {"rms_norm_eps", model.rms_norm_eps},
          {"tie_word_embeddings", model.tie_word_embeddings},
          {"init_style", model.init_style == InitStyle::kMeant ? "meant" : "as-run"},
          {"init_method_std", model.init_method_std}};
}

json batch_json(const BatchConfig& batch) {
  return {{"seq_length", batch.seq_length},
          {"micro_batch_size", batch.micro_batch_size},
          {"grad_accum_steps", batch.grad_accum_steps},
          {"global_batch_size", batch.global_batch_size}};
}

json schedule_json(const ScheduleConfig& schedule) {
  return {{"decay_style", lr_decay_style_name(schedule.decay_style)},
          {"learning_rate", schedule.learning_rate},
          {"min_learning_rate", schedule.min_learning_rate},
          {"warmup_fraction", schedule.warmup_fraction},
          {"decay_iters", or_null(schedule.decay_iters)},
          {"constant_plus_cooldown", schedule.constant_plus_cooldown},
          {"constant_plus_cooldown_fraction", schedule.constant_plus_cooldown_fraction},
          {"constant_learning_rate", schedule.constant_learning_rate},
          {"cooldown_fraction", schedule.cooldown_fraction},
          {"constant_fraction", schedule.constant_fraction}};
}

json optimizer_json(const OptimizerConfig& optimizer) {
  return {{"name", optimizer.name},
          {"weight_decay", optimizer.weight_decay},
          {"beta1", optimizer.beta1},
          {"beta2", optimizer.beta2},
          {"eps", optimizer.eps},
          {"max_grad_norm", optimizer.max_grad_norm},
          {"loss_mean", optimizer.loss_mean == LossMean::kTokens ? "tokens" : "micro-batch"},
          {"max_skipped_in_a_row", optimizer.max_skipped_in_a_row},
          {"skip_grad_norm_factor", or_null(optimizer.skip_grad_norm_factor)},
          {"skip_grad_norm_window", optimizer.skip_grad_norm_window}};
}

json data_json(const DataConfig& data) {
  return {{"data_file_list", data.data_file_list},
          {"data_path", data.data_path},
          {"tokenizer_type", data.tokenizer_type},
          {"tokenizer_model", data.tokenizer_model},
          {"tokenizer_path", data.tokenizer_path},
          {"tokenizer_merges_path", data.tokenizer_merges_path},
          {"tokenizer_numbers", data.tokenizer_numbers},
          {"mock_data", data.mock_data},
          {"split", data.split},
          {"shuffle_sample_in_corpus", data.shuffle_sample_in_corpus},
          {"blend_sample_in_corpus", data.blend_sample_in_corpus},
          {"exact_epochs", or_null(data.exact_epochs)},
          {"data_cache_path", data.cache_path},
          {"tokenizer_vocab_size", data.tokenizer_vocab_size},
          {"eod_mask_loss", data.eod_mask_loss},
          {"reset_position_ids", data.reset_position_ids},
          {"reset_attention_mask", data.reset_attention_mask},
          {"eod_token", or_null(data.eod_token)}};
}

json limits_json(const ScheduleLimits& limits) {
  json ranges = json::array();
  for (const IterationRange& range : limits.ranges_to_skip) {
    ranges.push_back({range.first, range.last});
  }
  return {{"train_iters", limits.train_iters},
          {"train_tokens", or_null(limits.train_tokens)},
          {"eval_interval", limits.eval_interval},
          {"eval_iters", limits.eval_iters},
          {"save_interval", limits.save_interval},
          {"log_interval", limits.log_interval},
          {"timing_log_level", limits.timing_log_level},
          {"exit_interval", or_null(limits.exit_interval)},
          {"exit_duration_mins", or_null(limits.exit_duration_mins)},
          {"kill_switch_file", limits.kill_switch_file},
          {"ranges_to_skip", ranges},
          {"forward_only_after", limits.forward_only_after}};
}

json checkpoint_json(const CheckpointConfig& checkpoint) {
  return {{"load_dir", checkpoint.load_dir},
          {"no_load", checkpoint.no_load},
          {"finetune", checkpoint.finetune},
          {"load_optimizer", checkpoint.load_optimizer},
          {"reset_iteration", checkpoint.reset_iteration},
          {"override_schedule", checkpoint.override_schedule},
          {"keep_last", checkpoint.keep_last},
          {"keep_every", checkpoint.keep_every}};
}

json parallel_json(const ParallelConfig& parallel) {
  return {{"world_size", parallel.world_size},
          {"hosts", parallel.hosts},
          {"timeout_minutes", parallel.timeout_minutes},
          {"tensor_parallel_size", parallel.tensor_parallel_size},
          {"pipeline_parallel_size", parallel.pipeline_parallel_size},
          {"sequence_parallel_size", parallel.sequence_parallel_size},
          {"zero_stage", parallel.zero_stage},
          {"zero_hpz_partition_size", parallel.zero_hpz_partition_size},
          {"grad_reduce_in_bf16", parallel.grad_reduce_in_bf16}};
}

json output_json(const OutputConfig& output) {
  return {{"prefix", output.prefix},
          {"run_dir", output.run_dir},
          {"checkpoint_dir", output.checkpoint_dir},
          {"save_checkpoints", output.save_checkpoints},
          {"report_interval_s", output.report_interval_s},
          {"progress", output.progress},
          {"json", output.json}};
}

json tracking_json(const TrackingConfig& tracking) {
  return {{"tensorboard", tracking.tensorboard},
          {"tensorboard_dir", tracking.tensorboard_dir},
          {"wandb", tracking.wandb},
          {"wandb_online", tracking.wandb_online},
          {"wandb_dir", tracking.wandb_dir},
          {"wandb_project", tracking.wandb_project},
          {"wandb_entity", tracking.wandb_entity},
          {"wandb_group", tracking.wandb_group},
          {"wandb_name", tracking.wandb_name},
          {"wandb_notes", tracking.wandb_notes},
          {"wandb_run_id", tracking.wandb_run_id},
          {"wandb_tags", tracking.wandb_tags}};
}

json machine_json(const MachineConfig& machine) {
  return {{"threads", machine.threads},
          {"memory_limit_bytes", or_null(machine.memory_limit_bytes)},
          {"device", machine.device},
          {"deterministic", machine.deterministic},
          {"cpu_isa", machine.cpu_isa}};
}

}  // namespace

json to_json(const RunConfig& config) {
  return {{"model", model_json(config.model)},
          {"batch", batch_json(config.batch)},
          {"schedule", schedule_json(config.schedule)},
          {"optimizer", optimizer_json(config.optimizer)},
          {"data", data_json(config.data)},
          {"limits", limits_json(config.limits)},
          {"parallel", parallel_json(config.parallel)},
          {"recompute",
           {{"enabled", config.recompute.enabled},
            {"layers_per_segment", config.recompute.layers_per_segment}}},
          {"output", output_json(config.output)},
          {"checkpoint", checkpoint_json(config.checkpoint)},
          {"profile",
           {{"enabled", config.profile.enabled},
            {"first_iteration", config.profile.first_iteration},
            {"end_iteration", config.profile.end_iteration}}},
          {"tracking", tracking_json(config.tracking)},
          {"machine", machine_json(config.machine)},
          {"dtype", dtype_name(config.dtype)},
          {"seed", config.seed},
          {"log_level", config.log_level},
          {"notes", config.notes},
          {"warnings", config.warnings}};
}

}  // namespace borealis
