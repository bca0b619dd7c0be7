#include "telemetry/metrics_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/file.h"
#include "base/not_a_number.h"
#include "support/expect_error.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

StepRecord sample_step() {
  StepRecord step;
  step.iteration = 3;
  step.consumed_samples = 24;
  step.consumed_tokens = 12288;
  step.elapsed_ms = 480.5;
  step.learning_rate = 0.0002;
  step.global_batch_size = 8;
  step.lm_loss = 7.25;
  step.grad_norm = 1.5;
  step.skipped_iterations = 1;
  step.samples_per_second = 16.5;
  step.tokens_per_gpu_per_second = 8448;
  step.tflops = 0.75;
  step.gemm_share = 0.625;
  step.forward_ms = 150;
  step.backward_ms = 300;
  step.optimizer_ms = 20;
  step.communication_ms = 0;
  step.data_ms = 0.5;
  return step;
}

TEST(MetricsFile, NamesAndOrderAreFrozen) {
  EXPECT_EQ(step_record_json(sample_step()),
            R"({"iteration":3,"consumed_samples":24,"consumed_tokens":12288,"elapsed_ms":480.5,)"
            R"("learning_rate":0.0002,"global_batch_size":8,"lm_loss":7.25,"grad_norm":1.5,)"
            R"("skipped_iterations":1,"samples_per_second":16.5,)"
            R"("tokens_per_gpu_per_second":8448.0,"tflops":0.75,"gemm_share":0.625,)"
            R"("forward_ms":150.0,"backward_ms":300.0,"optimizer_ms":20.0,)"
            R"("communication_ms":0.0,"data_ms":0.5})");
  StepRecord of_ranks = sample_step();
  of_ranks.of_ranks = StepTimesOfRanks{.computing = {400, 410.5, 500}, .slowest = 2};
  EXPECT_TRUE(step_record_json(of_ranks).ends_with(
      R"("data_ms":0.5,"computing_ms_of_ranks":)"
      R"({"min":400.0,"median":410.5,"max":500.0,"slowest_rank":2}})"));
  EXPECT_EQ(validation_record_json({10, 2.5, 12.25}),
            R"({"iteration":10,"validation_loss":2.5,"validation_perplexity":12.25})");
}

TEST(MetricsFile, WhatIsNotFiniteIsNull) {
  StepRecord step = sample_step();
  step.lm_loss = kNaN;
  step.grad_norm = kInfinity;
  EXPECT_THAT(step_record_json(step), HasSubstr(R"("lm_loss":null,"grad_norm":null,)"));
  step.grad_norm.reset();
  EXPECT_THAT(step_record_json(step), HasSubstr(R"("grad_norm":null,)"));
  EXPECT_THAT(validation_record_json({1, kNaN, kInfinity}),
              HasSubstr(R"("validation_loss":null,"validation_perplexity":null)"));
}

TEST(MetricsFile, GivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  MetricsWriter writer(folder.path());
  FakeRun run;
  run.nan_steps = {2};
  for (int64_t iteration = 1; iteration <= 3; ++iteration) {
    writer.write(fake_step(iteration, run));
  }
  writer.write(ValidationRecord{3, 2.5, 12.25});
  const std::vector<StepRecord> steps = read_metrics(folder.path()).steps();
  ASSERT_EQ(steps.size(), 3u);
  const StepRecord third = fake_step(3, run);
  EXPECT_EQ(steps[2].iteration, 3);
  EXPECT_EQ(steps[2].consumed_tokens, third.consumed_tokens);
  EXPECT_EQ(steps[2].lm_loss, third.lm_loss);  // doubles survive to the last bit
  EXPECT_EQ(steps[2].tflops, third.tflops);
  EXPECT_EQ(steps[2].grad_norm, third.grad_norm);
  EXPECT_TRUE(steps[1].skipped);
  EXPECT_FALSE(steps[2].skipped);
  EXPECT_TRUE(std::isnan(steps[1].lm_loss));
  EXPECT_FALSE(steps[1].grad_norm.has_value());
  EXPECT_EQ(steps[1].next_learning_rate, steps[2].learning_rate);
  EXPECT_FALSE(read_test(folder.path()));
  writer.write(ValidationRecord{
      .iteration = 4, .lm_loss = 2.25, .perplexity = 9.5, .set = EvaluatedSet::kTest});
  ASSERT_TRUE(read_test(folder.path()));
  EXPECT_EQ(read_test(folder.path())->iteration, 4);
  EXPECT_EQ(read_test(folder.path())->lm_loss, 2.25);
  EXPECT_EQ(read_test(folder.path())->perplexity, 9.5);
  const std::vector<ValidationRecord> validations = read_validation(folder.path());
  ASSERT_EQ(validations.size(), 1u);
  EXPECT_EQ(validations[0].lm_loss, 2.5);
  EXPECT_EQ(validations[0].perplexity, 12.25);
}

TEST(MetricsFile, ANewRunInTheFolderStartsAfresh) {
  const TemporaryFolder folder;
  {
    MetricsWriter writer(folder.path());
    writer.write(sample_step());
    writer.write(ValidationRecord{3, 2.5, 12.25});
  }
  const MetricsWriter again(folder.path());
  EXPECT_TRUE(read_metrics(folder.path()).steps().empty());
  EXPECT_TRUE(read_validation(folder.path()).empty());
}

TEST(MetricsFile, DropsALineThatWasCutOff) {
  const TemporaryFolder folder;
  const std::string line = step_record_json(sample_step());
  write_file_atomically(folder.path() / kMetricsFileName, line + "\n" + line.substr(0, 40));
  EXPECT_EQ(read_metrics(folder.path()).count(), 1);
}

TEST(MetricsFile, ALineAloneComesBackOrIsNone) {
  const auto step = parse_step_record(step_record_json(sample_step()));
  ASSERT_TRUE(step);
  EXPECT_EQ(step_record_json(*step), step_record_json(sample_step()));
  const auto validation = parse_validation_record(validation_record_json({5, 3.5, 33.1, true}));
  ASSERT_TRUE(validation);
  EXPECT_EQ(validation->iteration, 5);
  EXPECT_TRUE(validation->at_end);
  const TemporaryFolder folder;
  MetricsWriter writer(folder.path());
  writer.write_checkpoint("ckpt/global_step4");
  const std::string text = read_text_file(folder.path() / kCheckpointsFileName);
  EXPECT_EQ(text, "{\"checkpoint\":\"ckpt/global_step4\"}\n");
  EXPECT_EQ(parse_checkpoint_record(text), "ckpt/global_step4");
  MetricsWriter again(folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder.path() / kCheckpointsFileName));
  for (const char* line : {"", "{", "{}", "[]", "7", "{\"iteration\": \"3\"}"}) {
    EXPECT_FALSE(parse_step_record(line)) << line;
    EXPECT_FALSE(parse_validation_record(line)) << line;
    EXPECT_FALSE(parse_checkpoint_record(line)) << line;
  }
}

// Lines of other programs, and of later versions.
TEST(MetricsFile, ALineIsReadHoweverItIsWritten) {
  const std::string line = step_record_json(sample_step());
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = line;
    other.replace(other.find(from), from.size(), to);
    return parse_step_record(other);
  };
  const auto turned = changed(R"("iteration":3,"consumed_samples":24)",
                              R"("consumed_samples": 24 , "iteration": 3)");
  ASSERT_TRUE(turned);
  EXPECT_EQ(step_record_json(*turned), line);
  const auto more = changed(
      R"("data_ms":0.5)", R"("later":{"iteration":9,"a":[1,{"lm_loss":2}]},"data_ms":0.5,"x":[7])");
  ASSERT_TRUE(more);
  EXPECT_EQ(step_record_json(*more), line);
  const auto unknown = changed(R"("grad_norm":1.5)", R"("grad_norm":null)");
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(unknown->grad_norm);
  EXPECT_FALSE(changed(R"(,"data_ms":0.5)", ""));
  EXPECT_FALSE(changed(R"("data_ms":0.5)", R"("iteration":3)"));
  EXPECT_FALSE(changed(R"("iteration":3)", R"("iteration":null)"));
  EXPECT_FALSE(changed(R"("iteration":3)", R"("iteration":"3")"));
  EXPECT_FALSE(changed(R"("lm_loss":7.25)", R"("lm_loss":[7.25])"));
  EXPECT_FALSE(changed(R"("lm_loss":7.25)", R"("lm_loss":true)"));
}

TEST(MetricsFile, NamesTheLineThatIsBroken) {
  const TemporaryFolder folder;
  const std::string line = step_record_json(sample_step());
  for (const std::string broken : {"{\"iteration\":", "{\"iteration\":1}", "[]", "\xff\xfe"}) {
    write_file_atomically(folder.path() / kMetricsFileName, line + "\n" + broken + "\n" + line);
    EXPECT_ERROR((void)read_metrics(folder.path()), ErrorKind::kData,
                 "metrics.jsonl line 2 is not a record of a run");
  }
}

TEST(MetricsFile, MissingFileAndFolderAreFileErrors) {
  const TemporaryFolder folder;
  EXPECT_ERROR((void)read_metrics(folder.path()), ErrorKind::kFile, "metrics.jsonl");
  EXPECT_ERROR(MetricsWriter(folder.path() / "absent"), ErrorKind::kFile, "absent");
}

TEST(MetricsFile, FullDiskIsAFileErrorThatSaysSo) {
  const TemporaryFolder folder;
  MetricsWriter writer(folder.path());
  std::filesystem::remove(folder.path() / kMetricsFileName);
  std::filesystem::create_symlink("/dev/full", folder.path() / kMetricsFileName);
  EXPECT_ERROR(writer.write(sample_step()), ErrorKind::kFile, "metrics.jsonl",
               "No space left on device");
}

}  // namespace
}  // namespace borealis
