#include "telemetry/tracked_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "support/fake_run.h"

namespace borealis {
namespace {

std::map<std::string, double> by_name(const std::vector<TrackedMetric>& metrics) {
  std::map<std::string, double> values;
  for (const TrackedMetric& metric : metrics) {
    const double value =
        std::visit([](auto number) { return static_cast<double>(number); }, metric.value);
    EXPECT_TRUE(values.emplace(metric.name, value).second) << metric.name;
  }
  return values;
}

RunConfig report_config(int64_t layers) {
  RunConfig config;
  config.model.num_hidden_layers = layers;
  config.model.vocab_size = 256000;
  config.batch.seq_length = 8192;
  return config;
}

// The reference's own rows: tokens a second and rank, and its throughput/tflops.
double ds_flops(const RunConfig& config) {
  return ds_flops_per_token(config.model, config.batch.seq_length, config.recompute.enabled);
}

TEST(TrackedMetrics, DeepSpeedsCountIsTheReferences) {
  RunConfig llama = report_config(4);
  llama.model.hidden_size = 3072;
  llama.model.num_attention_heads = 24;
  llama.model.num_key_value_heads = 8;
  llama.model.intermediate_size = 8192;
  EXPECT_NEAR(8018.19 * ds_flops(llama) * 1e-12, 65.68, 0.005);
  RunConfig smollm = report_config(8);
  smollm.model.hidden_size = 2048;
  smollm.model.num_attention_heads = 16;
  smollm.model.num_key_value_heads = 4;
  smollm.model.intermediate_size = 11008;
  EXPECT_NEAR(7314.67 * ds_flops(smollm) * 1e-12, 61.48, 0.005);
  const double kept = ds_flops(smollm);
  smollm.recompute.enabled = true;
  EXPECT_DOUBLE_EQ(ds_flops(smollm), kept * 4 / 3);
}

TEST(TrackedMetrics, HaveTheReferencesNamesAndUnits) {
  StepRecord step;
  step.iteration = 3;
  step.consumed_samples = 24;
  step.consumed_tokens = int64_t{1} << 40;
  step.elapsed_ms = 480.5;
  step.learning_rate = 2e-4;
  step.global_batch_size = 8;
  step.lm_loss = 7.25;
  step.grad_norm = 1.5;
  step.skipped_iterations = 1;
  step.samples_per_second = 16.5;
  step.tokens_per_gpu_per_second = 8448;
  step.tflops = 0.75;
  MetricContext context{.parameters = 2e9, .lm_flops_per_token = 4, .ds_flops_per_token = 3};
  context.world_size = 4;
  context.data_parallel_size = 2;
  const std::map<std::string, double> values = by_name(step_metrics(step, context));
  EXPECT_EQ(values.at("throughput/iteration-time"), 0.4805);
  EXPECT_EQ(values.at("throughput/elapsed_ms_per_iteration"), 0.4805);
  EXPECT_EQ(values.at("throughput/samples_per_sec_per_replica"), 8.25);
  EXPECT_EQ(values.at("throughput/tokens_per_sec"), 4 * 8448);
  EXPECT_EQ(values.at("throughput/tokens_per_sec_per_replica"), 2 * 8448);
  EXPECT_EQ(values.at("throughput/tokens_per_gpu_per_sec"), 8448);
  EXPECT_EQ(values.at("throughput/tokens_per_gpu_per_sec_per_replica"), 4224);
  EXPECT_EQ(values.at("throughput/tflops-lm"), 0.75);
  EXPECT_EQ(values.at("throughput/tflops-new"), 3e12);
  EXPECT_EQ(values.at("throughput/tflops"), 0.5625);
  EXPECT_EQ(values.at("throughput/approx_params_in_billions"), 2);
  EXPECT_EQ(values.at("training/consumed_tokens"), static_cast<double>(step.consumed_tokens));
  EXPECT_EQ(values.at("training/skiped_iterations"), 1);
  EXPECT_EQ(values.at("lm-loss-training/lm loss"), 7.25);
  EXPECT_EQ(values.at("learning-rate/learning-rate"), 2e-4);
}

TEST(TrackedMetrics, CountsAreWholeNumbers) {
  for (const TrackedMetric& metric : step_metrics(fake_step(5, {}), {.lm_flops_per_token = 1})) {
    const std::string name(metric.name);
    const bool counts = name.ends_with("/iteration") || name.find("/consumed") != name.npos ||
                        name == "training/skiped_iterations" ||
                        name == "training/global_batch_size";
    EXPECT_EQ(std::holds_alternative<int64_t>(metric.value), counts) << name;
  }
}

TEST(TrackedMetrics, WhatIsNotKnownIsLeftOut) {
  StepRecord step = fake_step(5, {});
  step.lm_loss = std::numeric_limits<double>::quiet_NaN();
  step.grad_norm.reset();
  const auto values = by_name(step_metrics(step, {.lm_flops_per_token = 1}));
  for (const char* name :
       {"loss/lm loss", "lm-loss-training/lm loss", "loss/grad_norm", "training/grad-norm"}) {
    EXPECT_FALSE(values.contains(name)) << name;
  }
  EXPECT_TRUE(values.contains("loss/iteration"));
  EXPECT_EQ(by_name(validation_metrics({10, 2.5, 12.25})).at("val/ppl_lm loss"), 12.25);
  EXPECT_EQ(
      by_name(validation_metrics({10, 2.5, 12.25, true, EvaluatedSet::kTest})).at("test/lm loss"),
      2.5);
}

}  // namespace
}  // namespace borealis
