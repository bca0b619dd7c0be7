#include "telemetry/tracked_metrics.h"

#include <cmath>

namespace borealis {
namespace {

class Metrics {
 public:
  void add(std::string_view name, int64_t value) { metrics_.push_back({name, value}); }
  void add(std::string_view name, double value) {
    if (std::isfinite(value)) metrics_.push_back({name, value});
  }
  std::vector<TrackedMetric> take() { return std::move(metrics_); }

 private:
  std::vector<TrackedMetric> metrics_;
};

void add_throughput(const StepRecord& step, const MetricContext& context, Metrics& metrics) {
  const auto ranks = static_cast<double>(context.world_size);
  const auto replicas = static_cast<double>(context.data_parallel_size);
  const double tokens_per_gpu = step.tokens_per_gpu_per_second;
  metrics.add("throughput/iteration", step.iteration);
  metrics.add("throughput/iteration-time", step.elapsed_ms / 1000);
  metrics.add("throughput/elapsed_ms_per_iteration", step.elapsed_ms / 1000);
  metrics.add("throughput/samples_per_sec", step.samples_per_second);
  metrics.add("throughput/samples_per_sec_per_replica", step.samples_per_second / replicas);
  metrics.add("throughput/tokens_per_sec", tokens_per_gpu * ranks);
  metrics.add("throughput/tokens_per_sec_per_replica", tokens_per_gpu * ranks / replicas);
  metrics.add("throughput/tokens_per_gpu_per_sec", tokens_per_gpu);
  metrics.add("throughput/tokens_per_gpu_per_sec_per_replica", tokens_per_gpu / replicas);
  metrics.add("throughput/tflops",
              step.tflops * context.ds_flops_per_token / context.lm_flops_per_token);
  metrics.add("throughput/tflops-new", step.tflops * 1e12 * ranks);
  metrics.add("throughput/tflops-lm", step.tflops);
  metrics.add("throughput/approx_params_in_billions", context.parameters * 1e-9);
  metrics.add("throughput/gemm_share", step.gemm_share);
}

void add_training(const StepRecord& step, Metrics& metrics) {
  metrics.add("training/iteration", step.iteration);
  metrics.add("training/iteration_time", step.elapsed_ms / 1000);
  metrics.add("training/consumed_samples", step.consumed_samples);
  metrics.add("training/consumed_tokens", step.consumed_tokens);
  metrics.add("training/global_batch_size", step.global_batch_size);
  if (step.grad_norm) metrics.add("training/grad-norm", *step.grad_norm);
  metrics.add("training/skiped_iterations", step.skipped_iterations);  // spelled so there
  metrics.add("loss/iteration", step.iteration);
  metrics.add("loss/lm loss", step.lm_loss);
  if (step.grad_norm) metrics.add("loss/grad_norm", *step.grad_norm);
  metrics.add("lm-loss-training/iteration", step.iteration);
  metrics.add("lm-loss-training/consumed_train_tokens", step.consumed_tokens);
  metrics.add("lm-loss-training/lm loss", step.lm_loss);
  metrics.add("learning-rate/iteration", step.iteration);
  metrics.add("learning-rate/learning-rate", step.learning_rate);
  metrics.add("optimizer/iteration", step.iteration);
  metrics.add("optimizer/consumed_train_tokens", step.consumed_tokens);
  metrics.add("optimizer/learning_rate", step.learning_rate);
}

void add_timers(const StepRecord& step, Metrics& metrics) {
  metrics.add("timers/forward_ms", step.forward_ms);
  metrics.add("timers/backward_ms", step.backward_ms);
  metrics.add("timers/optimizer_ms", step.optimizer_ms);
  metrics.add("timers/communication_ms", step.communication_ms);
  metrics.add("timers/data_ms", step.data_ms);
  if (const auto& ranks = step.of_ranks) {
    metrics.add("timers/computing_ms_min_of_ranks", ranks->computing.min_ms);
    metrics.add("timers/computing_ms_median_of_ranks", ranks->computing.median_ms);
    metrics.add("timers/computing_ms_max_of_ranks", ranks->computing.max_ms);
  }
}

}  // namespace

MetricContext metric_context(const RunConfig& config, int64_t parameters,
                             double lm_flops_per_token) {
  return {.parameters = static_cast<double>(parameters),
          .lm_flops_per_token = lm_flops_per_token,
          .ds_flops_per_token =
              ds_flops_per_token(config.model, config.batch.seq_length, config.recompute.enabled),
          .world_size = config.parallel.world_size,
          .data_parallel_size = config.parallel.data_parallel_size(),
          .seq_length = config.batch.seq_length};
}

double ds_flops_per_token(const ModelConfig& model, int64_t seq_length, bool recompute) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  const double L = real(model.num_hidden_layers), h = real(model.hidden_size);
  const double f = real(model.intermediate_size), s = real(seq_length);
  const double V = real(model.vocab_size);
  // In whole numbers: from four query heads a group on, K and V cost nothing.
  const int64_t group = model.num_attention_heads / model.num_key_value_heads;
  const double projections = real(2 + 2 / group);
  const double passes = recompute ? 4 : 3;
  return 2 * passes * (L * (projections * h * h + 2 * h * s + 3 * f * h) + V * h);
}

std::vector<TrackedMetric> step_metrics(const StepRecord& step, const MetricContext& context) {
  Metrics metrics;
  add_throughput(step, context, metrics);
  add_training(step, metrics);
  add_timers(step, metrics);
  return metrics.take();
}

std::vector<TrackedMetric> validation_metrics(const ValidationRecord& record) {
  Metrics metrics;
  const bool of_test = record.set == EvaluatedSet::kTest;
  metrics.add(of_test ? "test/iteration" : "val/iteration", record.iteration);
  metrics.add(of_test ? "test/lm loss" : "val/lm loss", record.lm_loss);
  metrics.add(of_test ? "test/ppl_lm loss" : "val/ppl_lm loss", record.perplexity);
  return metrics.take();
}

}  // namespace borealis
