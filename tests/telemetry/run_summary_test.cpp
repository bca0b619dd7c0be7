#include "telemetry/run_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/not_a_number.h"
#include "support/expect_error.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

StepRecord step_of(int64_t iteration, double elapsed_ms, double loss) {
  StepRecord step;
  step.iteration = iteration;
  step.elapsed_ms = elapsed_ms;
  step.lm_loss = loss;
  step.tokens_per_gpu_per_second = 1e6 / elapsed_ms;
  step.tflops = 1e3 / elapsed_ms;
  step.gemm_share = 100 / elapsed_ms;
  step.forward_ms = 0.25 * elapsed_ms;
  step.backward_ms = 0.5 * elapsed_ms;
  step.optimizer_ms = 0.125 * elapsed_ms;
  return step;
}

TEST(RunSummary, MediansLeaveOutTheFirstStepAndSkippedOnes) {
  std::vector<StepRecord> steps = {step_of(1, 9000, 8), step_of(2, 1000, 7), step_of(3, 1, kNaN),
                                   step_of(4, 2000, 6), step_of(5, 4000, 5)};
  steps[2].skipped = true;
  for (size_t at = 2; at < steps.size(); ++at) steps[at].skipped_iterations = 1;
  RunSummary summary;
  summarize_steps(steps, summary);
  EXPECT_EQ(summary.steps, 5);
  EXPECT_DOUBLE_EQ(summary.step_ms, 2000);
  EXPECT_DOUBLE_EQ(summary.tokens_per_gpu_per_second, 500);
  EXPECT_DOUBLE_EQ(summary.tflops, 0.5);
  EXPECT_DOUBLE_EQ(summary.gemm_share, 0.05);
  EXPECT_DOUBLE_EQ(summary.first_loss, 8);
  EXPECT_DOUBLE_EQ(summary.final_loss, 5);
  EXPECT_EQ(summary.skipped_iterations, 1);
}

TEST(RunSummary, CountsTheStepsThatMediansAreOver) {
  std::vector<StepRecord> steps;
  for (int64_t at = 1; at <= 22; ++at) steps.push_back(step_of(at, 1000, 7));
  for (size_t at = 2; at < 22; ++at) steps[at].skipped = true;
  const auto counts = [&](int64_t resumed_at) {
    const MeasuredSteps one = count_measured_steps(steps, resumed_at);
    return std::vector<int64_t>{one.count, one.skipped, one.all_skipped, one.first_left_out};
  };
  EXPECT_THAT(counts(0), ElementsAre(1, 20, 0, 1)) << "of 21 behind the first";
  EXPECT_THAT(counts(12), ElementsAre(9, 0, 1, 1)) << "ten of the last process, all skipped";
  EXPECT_THAT(counts(21), ElementsAre(1, 0, 1, 0)) << "its only one";
  steps[21].skipped = false;
  EXPECT_THAT(counts(12), ElementsAre(1, 8, 0, 1));
}

TEST(RunSummary, MedianOfAnEvenCountIsTheMeanOfTheMiddleTwo) {
  RunSummary summary;
  summarize_steps(std::vector{step_of(1, 9000, 8), step_of(2, 1000, 7), step_of(3, 3000, 6)},
                  summary);
  EXPECT_DOUBLE_EQ(summary.step_ms, 2000);
}

TEST(RunSummary, ASingleStepSpeaksForItself) {
  RunSummary summary;
  summarize_steps(std::vector{step_of(1, 9000, 8)}, summary);
  EXPECT_DOUBLE_EQ(summary.step_ms, 9000);
  EXPECT_DOUBLE_EQ(summary.first_loss, 8);
  EXPECT_DOUBLE_EQ(summary.final_loss, 8);
}

TEST(RunSummary, WhereEveryStepWasSkippedThereIsNoLossButATime) {
  std::vector<StepRecord> steps = {step_of(1, 9000, kNaN), step_of(2, 1000, kNaN)};
  for (StepRecord& step : steps) step.skipped = true;
  RunSummary summary;
  summarize_steps(steps, summary);
  EXPECT_DOUBLE_EQ(summary.step_ms, 1000);
  EXPECT_TRUE(std::isnan(summary.final_loss));
}

TEST(StepBreakdown, PartsAddUpToTheTotal) {
  const std::vector<StepRecord> steps = {step_of(1, 9000, 8), step_of(2, 1000, 7)};
  const StepBreakdown parts = step_breakdown(steps, 0);
  EXPECT_DOUBLE_EQ(parts.forward_ms, 250);
  EXPECT_DOUBLE_EQ(parts.backward_ms, 500);
  EXPECT_DOUBLE_EQ(parts.optimizer_ms, 125);
  EXPECT_DOUBLE_EQ(parts.other_ms, 125);
  EXPECT_DOUBLE_EQ(parts.total_ms, 1000);
}

TEST(StepBreakdown, IsOfTheLastProcessAsTheRatesAre) {
  const std::vector<StepRecord> steps = {step_of(1, 9000, 8), step_of(2, 1000, 7),
                                         step_of(3, 1000, 7), step_of(4, 5000, 7),
                                         step_of(5, 200, 7)};
  EXPECT_DOUBLE_EQ(step_breakdown(steps, 3).total_ms, 200);
}

TEST(StepBreakdown, TimersThatOverlapLeaveNoNegativeRest) {
  StepRecord step = step_of(1, 1000, 7);
  step.communication_ms = 900;
  const StepBreakdown parts = step_breakdown(std::vector{step}, 0);
  EXPECT_DOUBLE_EQ(parts.other_ms, 0);
  EXPECT_DOUBLE_EQ(parts.total_ms, 1775);
}

TEST(RunSummary, HasTheNamesThatScriptsRelyOn) {
  const auto json = nlohmann::ordered_json::parse(run_summary_json(RunSummary{}));
  const std::vector<std::string> first = {"parameters",
                                          "world_size",
                                          "steps",
                                          "tokens_per_gpu_per_second",
                                          "tflops",
                                          "gemm_tflops",
                                          "gemm_share",
                                          "planned_memory_bytes",
                                          "peak_memory_bytes",
                                          "time_to_first_step_s",
                                          "final_loss",
                                          "checkpoint"};
  size_t at = 0;
  for (const auto& [name, value] : json.items()) {
    if (at == first.size()) break;
    EXPECT_EQ(name, first[at++]);
  }
  EXPECT_EQ(at, first.size());
}

TEST(RunSummary, ComesBackAsItWasWritten) {
  const TemporaryFolder folder;
  std::vector<StepRecord> steps;
  for (int64_t iteration = 1; iteration <= 3; ++iteration) {
    steps.push_back(fake_step(iteration, {}));
  }
  const RunSummary written = fake_summary(steps);
  write_run_summary(folder.path(), written);
  const RunSummary read = read_run_summary(folder.path());
  EXPECT_EQ(run_summary_json(read), run_summary_json(written));
  EXPECT_EQ(read.parameters, 15533184);
  EXPECT_EQ(read.tflops, written.tflops);
  ASSERT_EQ(read.memory_classes.size(), written.memory_classes.size());
  EXPECT_EQ(read.memory_classes[1].name, written.memory_classes[1].name);
  EXPECT_EQ(read.memory_classes[1].bytes, 178 << 20);
  ASSERT_EQ(read.configuration.size(), written.configuration.size());
  EXPECT_EQ(read.configuration.front().name, "MODEL_ARCH");  // order survives
  EXPECT_EQ(read.machine.cores, written.machine.cores);
}

TEST(RunSummary, NamesItsProcess) {
  const TemporaryFolder folder;
  write_run_summary(folder.path(), start_run_summary(fake_config(3)));
  EXPECT_EQ(is_alive(read_run_summary(folder.path()).process), true);
}

TEST(RunSummary, IsValidJsonWhateverItHolds) {
  RunSummary summary;
  summary.gemm_tflops = kNaN;
  summary.final_loss = std::numeric_limits<double>::infinity();
  summary.sample_text = "cut \xE2\x82 and \"quoted\"\n";
  const auto json = nlohmann::json::parse(run_summary_json(summary));
  EXPECT_TRUE(json.at("gemm_tflops").is_null());
  EXPECT_TRUE(json.at("final_loss").is_null());
  EXPECT_EQ(json.at("sample_text"), "cut \xEF\xBF\xBD and \"quoted\"\n");
}

TEST(RunSummary, MissingOrBrokenFilesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_ERROR((void)read_run_summary(folder.path()), ErrorKind::kFile,
               "summary.json does not exist", "folder of a run");
  for (const std::string broken : {"", "{", "[]", "{\"parameters\": 1}", "{\"parameters\": {}}"}) {
    write_file_atomically(folder.path() / kSummaryFileName, broken);
    EXPECT_ERROR((void)read_run_summary(folder.path()), ErrorKind::kData,
                 "summary.json is not the summary of a run");
  }
}

TEST(RunSummary, StartsWithWhatTheConfigurationAndTheMachineSay) {
  RunConfig config = fake_config(300);
  config.model.note = "shape only";
  config.dtype = DType::kF32;
  const RunSummary summary = start_run_summary(config);
  EXPECT_EQ(summary.model_name, "borealis-mini");
  EXPECT_EQ(summary.model_note, "shape only");
  EXPECT_EQ(summary.num_hidden_layers, 6);
  EXPECT_EQ(summary.dtype, "fp32");
  EXPECT_GT(summary.machine.cores, 0);
  EXPECT_GT(summary.machine.memory_bytes, 1 << 20);
  EXPECT_FALSE(summary.machine.hostname.empty());
  EXPECT_EQ(summary.started_at.size(), std::string("2025-08-21 12:44:05").size());
}

std::string value_of(const std::vector<NamedValue>& values, const std::string& name) {
  for (const NamedValue& one : values) {
    if (one.name == name) return one.value;
  }
  return "absent";
}

TEST(RunConfiguration, NamesTheContractsVariables) {
  RunConfig config = fake_config(300);
  config.schedule.decay_style = LrDecayStyle::kInverseSquareRoot;
  config.schedule.learning_rate = 2e-4;
  const std::vector<NamedValue> values = contract_variables(config);
  EXPECT_EQ(value_of(values, "MODEL_ARCH"), "borealis-mini");
  EXPECT_EQ(value_of(values, "GRAD_ACC_STEPS"), "2");
  EXPECT_EQ(value_of(values, "LR"), "0.0002");
  EXPECT_EQ(value_of(values, "LR_DECAY_STYLE"), "inverse-square-root");
  EXPECT_EQ(value_of(values, "DATA_FILE_LIST"), "ALCF/data-lists/books.txt");
  EXPECT_EQ(value_of(values, "LR_DECAY_ITERS"), "absent");
  EXPECT_EQ(value_of(values, "--mock-data"), "absent");
  config.schedule.decay_iters = 77;
  config.data.mock_data = true;
  config.data.data_file_list.clear();
  const std::vector<NamedValue> mock = contract_variables(config);
  EXPECT_EQ(value_of(mock, "LR_DECAY_ITERS"), "77");
  EXPECT_EQ(value_of(mock, "--mock-data"), "random tokens");
  EXPECT_EQ(value_of(mock, "DATA_FILE_LIST"), "absent");
}

TEST(RunConfiguration, ArchitectureSaysWhichLayersHaveNoRope) {
  RunConfig config = fake_config(300);
  config.model.tie_word_embeddings = true;
  const std::vector<NamedValue> values = architecture_values(config);
  EXPECT_EQ(value_of(values, "rotary positions"), "θ = 50000; none in layer 4");
  EXPECT_EQ(value_of(values, "output head"), "tied to the embedding");
  config.model.rope_on_layer = {true, false, true, false};
  EXPECT_EQ(value_of(architecture_values(config), "rotary positions"),
            "θ = 50000; none in layers 2, 4");
}

}  // namespace
}  // namespace borealis
