#include "publish/trainer_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "publish/performance_report.h"
#include "support/expect_error.h"
#include "telemetry/iteration_line.h"

namespace borealis {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// As the reference prints its arguments; 24 ranks of the report's llama3 with 4 layers.
std::string arguments_text() {
  std::string text = "[2025-08-21 12:40:00][I][arguments] ------ arguments ------\n";
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"bf16", "True"},
           {"ffn_hidden_size", "8192"},
           {"global_batch_size", "48"},
           {"hidden_size", "3072"},
           {"micro_batch_size", "1"},
           {"num_attention_heads", "24"},
           {"num_key_value_heads", "8"},
           {"num_layers", "4"},
           {"padded_vocab_size", "256000"},
           {"seq_length", "8192"},
           {"untie_embeddings_and_output_weights", "True"},
           {"world_size", "24"}}) {
    text += "  " + name + " " + std::string(48 - name.size(), '.') + " " + value + "\n";
  }
  return text + "[before the start of training step] datetime=2025-08-21 14:32:34 \n";
}

// Steps of 2043.36 ms: 48 x 8192 / 24 tokens a rank in that time are 8018.2 a second.
std::string line_of(int64_t iteration, double elapsed_ms = 2043.36) {
  StepRecord step;
  step.iteration = iteration;
  step.consumed_samples = 48 * iteration;
  step.consumed_tokens = step.consumed_samples * 8192;
  step.elapsed_ms = elapsed_ms;
  step.global_batch_size = 48;
  step.lm_loss = 10.0 - static_cast<double>(iteration);
  step.samples_per_second = 48 / (elapsed_ms * 1e-3);
  step.tokens_per_gpu_per_second = step.samples_per_second * 8192 / 24;
  step.tflops = step.tokens_per_gpu_per_second * 8.342470656e9 * 1e-12;
  return "[2025-08-21 12:44:05][I][training.py:100]" +
         format_iteration_line(step, {.train_iters = 10, .seq_length = 8192}) + "\n";
}

TEST(TrainerLog, IsAMeasuredRun) {
  const std::string text =
      arguments_text() + line_of(1, 9000) + "something else\n" + line_of(2) + line_of(3);
  ASSERT_TRUE(is_trainer_log(text));
  const MeasuredRun run = parse_trainer_log(text, "job.log", 1);
  EXPECT_EQ(run.family, "llama3-3B");
  EXPECT_EQ(run.model.name, "llama3-3B-nLayers4");
  EXPECT_EQ(run.parameters, 1975544832);
  EXPECT_EQ(run.started_at, "2025-08-21-143234");
  EXPECT_EQ(run.grad_accum_steps, 2);
  EXPECT_EQ(run.dtype, "bf16");
  ASSERT_THAT(run.steps, SizeIs(2));
  EXPECT_NEAR(run.steps[0].tokens_per_gpu_per_second, 8018.2, 0.05);
  EXPECT_NEAR(run.steps[0].tflops, 66.89, 0.005);
  EXPECT_THAT(run.loss, SizeIs(3));
  const PerformanceReport report = make_performance_report({{run}, {}}, {}, "0");
  EXPECT_THAT(report.disagreements, IsEmpty());
  EXPECT_TRUE(std::isnan(report.rows.front().gemm_share));
}

TEST(TrainerLog, ALineStandsForItsInterval) {
  const std::string text = arguments_text() + line_of(5) + line_of(10) + line_of(15);
  EXPECT_THAT(parse_trainer_log(text, "job.log", 1).steps, SizeIs(2));
  EXPECT_THAT(parse_trainer_log(text, "job.log", 7).steps, SizeIs(1));
  EXPECT_THAT(parse_trainer_log(text, "job.log", 0).steps, SizeIs(3));
}

TEST(TrainerLog, WhatAResumedRunMakesAgainCountsOnce) {
  const std::string text =
      arguments_text() + line_of(1) + line_of(2) + line_of(3) + line_of(2, 3000) + line_of(3);
  const MeasuredRun run = parse_trainer_log(text, "job.log", 1);
  ASSERT_THAT(run.steps, SizeIs(2));
  EXPECT_NEAR(run.steps[0].elapsed_ms, 3000, 0.1);
}

TEST(TrainerLog, RefusesWhatDoesNotSayItsShape) {
  EXPECT_FALSE(is_trainer_log("nothing of the kind"));
  EXPECT_ERROR(parse_trainer_log(line_of(1) + line_of(2), "job.log", 1), ErrorKind::kData,
               "job.log does not say num_layers");
  EXPECT_ERROR(parse_trainer_log(arguments_text() + line_of(1), "job.log", 1), ErrorKind::kData,
               "job.log has no iteration behind the first");
  EXPECT_ERROR(
      parse_trainer_log(arguments_text() + " iteration=x | TFLOPs=1 |\n iteration= 2/ 3 | "
                                           "elapsed_time_per_iteration_ms=0 | TFLOPs=0 |\n",
                        "job.log", 1),
      ErrorKind::kData, "job.log");
}

}  // namespace
}  // namespace borealis
