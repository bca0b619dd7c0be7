#include "publish/wandb_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "telemetry/wandb_log.h"
#include "telemetry/wandb_records.h"

namespace borealis {
namespace {

using ::testing::SizeIs;

std::string log_of(const std::vector<WandbRecord>& records) {
  std::string file(kWandbLogHeader);
  int64_t number = 0;
  for (const WandbRecord& record : records) {
    file += frame_wandb_record(numbered_record(++number, record), file.size());
  }
  return file;
}

// As the reference trainer configures its run: llama3 with 4 layers on 24 ranks.
WandbRecord reference_run() {
  return wandb_run({.id = "abcd1234",
                    .config = {{"args",
                                R"({"num_layers": 4, "hidden_size": 3072, "num_attention_heads": 24,
                       "num_key_value_heads": 8, "ffn_hidden_size": 8192, "seq_length": 8192,
                       "padded_vocab_size": 256000, "micro_batch_size": 1, "global_batch_size": 48,
                       "world_size": 24, "bf16": true,
                       "untie_embeddings_and_output_weights": true})"},
                               {"num_params", "1975544832"},
                               {"machine", "\"Aurora\""},
                               {"created_at", "\"2025-08-21 14:32:34\""}}});
}

WandbRecord row_of(int64_t iteration) {
  return wandb_history(iteration, {{"throughput/iteration", std::to_string(iteration)},
                                   {"throughput/iteration-time", "2.04336"},
                                   {"throughput/samples_per_sec", "23.4907"},
                                   {"throughput/tokens_per_gpu_per_sec", "8018.18"},
                                   {"throughput/tflops-lm", "66.8914"},
                                   {"loss/lm loss", iteration == 2 ? "NaN" : "7.5"},
                                   {"training/consumed_tokens", "393216"}});
}

TEST(WandbSource, ReadsARunOfTheReference) {
  const std::string file = log_of({wandb_header("x"), reference_run(), row_of(1), row_of(2),
                                   wandb_history(2, {{"val/lm loss", "7"}}), row_of(3), row_of(3),
                                   wandb_exit(0, 9), wandb_final()});
  const MeasuredRun run = parse_wandb_log(file, "run.wandb", 1);
  EXPECT_EQ(run.model.name, "llama3-3B-nLayers4");
  EXPECT_EQ(run.parameters, 1975544832);
  EXPECT_EQ(run.started_at, "2025-08-21-143234");
  EXPECT_EQ(run.machine_name(), "Aurora");
  EXPECT_EQ(run.grad_accum_steps, 2);
  ASSERT_THAT(run.steps, SizeIs(2));
  EXPECT_EQ(run.steps[1].iteration, 3);
  EXPECT_NEAR(run.steps[0].elapsed_ms, 2043.36, 1e-9);
  EXPECT_EQ(run.steps[0].tokens_per_gpu_per_second, 8018.18);
  EXPECT_THAT(run.loss, SizeIs(2));
}

TEST(WandbSource, ReadsWhatAKilledRunLeft) {
  const std::string whole =
      log_of({wandb_header("x"), reference_run(), row_of(1), row_of(2), row_of(3), row_of(4)});
  for (size_t cut = 1; cut < 200; cut += 13) {
    const auto run = parse_wandb_log(whole.substr(0, whole.size() - cut), "run.wandb", 1);
    EXPECT_THAT(run.steps, SizeIs(2)) << cut;
  }
}

TEST(WandbSource, PassesOverADamagedBlock) {
  std::vector<WandbRecord> records = {wandb_header("x"), reference_run()};
  for (int64_t i = 1; i <= 1000; ++i) records.push_back(row_of(i));
  const std::string whole = log_of(records);
  ASSERT_GT(whole.size(), 4 * 32768U);
  std::string damaged = whole;
  damaged[2 * 32768 + 100] ^= 1;
  const MeasuredRun run = parse_wandb_log(damaged, "run.wandb", 0);
  EXPECT_EQ(run.problem, "1 block of it is damaged: steps may be missing");
  EXPECT_EQ(parse_wandb_log(whole, "run.wandb", 0).problem, "");
  const size_t kept = run.steps.size();
  EXPECT_EQ(parse_wandb_log(whole, "run.wandb", 0).steps.size(), 1000U);
  EXPECT_LT(kept, 1000U);
  EXPECT_GT(kept, 700U);  // a block holds some 110 rows
}

TEST(WandbSource, OfALongRunAPartIsKept) {
  std::vector<WandbRecord> records = {reference_run()};
  for (int64_t i = 1; i <= 21'000; ++i) records.push_back(row_of(i));
  const MeasuredRun run = parse_wandb_log(log_of(records), "run.wandb", 1);
  EXPECT_EQ(run.step_stride, 2);
  EXPECT_GE(run.steps.size(), 10'500U);
  EXPECT_LT(run.steps.size(), 12'000U);  // the first, last and extreme ones are kept, too
  EXPECT_EQ(run.steps.back().iteration, 21'000);
}

TEST(WandbSource, TheFirstStepBehindAResumeIsStartUp) {
  const WandbRecord resumed = wandb_run({.config = {{"resumed_at_iteration", "10"}}});
  const std::string file = log_of({reference_run(), resumed, row_of(11), row_of(12), row_of(13)});
  const MeasuredRun run = parse_wandb_log(file, "run.wandb", 1);
  ASSERT_THAT(run.steps, SizeIs(2));
  EXPECT_EQ(run.steps.front().iteration, 12);
}

TEST(WandbSource, RefusesWhatIsNone) {
  EXPECT_ERROR(parse_wandb_log("", "run.wandb", 1), ErrorKind::kData,
               "run.wandb is no log of Weights & Biases");
  EXPECT_ERROR(parse_wandb_log(log_of({row_of(1), row_of(2)}), "run.wandb", 1), ErrorKind::kData,
               "run.wandb has no arguments");
  EXPECT_ERROR(parse_wandb_log(log_of({reference_run(), row_of(1)}), "run.wandb", 1),
               ErrorKind::kData, "run.wandb has no step behind the first 1");
  EXPECT_ERROR(
      parse_wandb_log(log_of({wandb_run({.config = {{"args", "{}"}}}), row_of(2)}), "run.wandb", 1),
      ErrorKind::kData, "run.wandb does not say num_layers");
  EXPECT_ERROR(
      parse_wandb_log(log_of({wandb_run({.config = {{"args", R"({"model": 3})"}}}), row_of(2)}),
                      "run.wandb", 1),
      ErrorKind::kData, "run.wandb is not the configuration of a run");
}

}  // namespace
}  // namespace borealis
