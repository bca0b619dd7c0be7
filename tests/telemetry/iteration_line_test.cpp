#include "telemetry/iteration_line.h"

#include <gtest/gtest.h>

#include <limits>

namespace borealis {
namespace {

StepRecord step_five() {
  StepRecord step;
  step.iteration = 5;
  step.consumed_samples = 240;
  step.consumed_tokens = 1966080;
  step.elapsed_ms = 7741.93;
  step.learning_rate = 1.6e-4;
  step.next_learning_rate = 2e-4;
  step.global_batch_size = 48;
  step.lm_loss = 10.8612349;
  step.grad_norm = 3.14159;
  step.samples_per_second = 6.2;
  step.tokens_per_gpu_per_second = 2116.2667;
  step.tflops = 23.6749;
  step.data_ms = 1.5;
  step.forward_ms = 2000.25;
  step.backward_ms = 4000.5;
  step.optimizer_ms = 1500.125;
  return step;
}

TEST(IterationLine, HasTheReferenceFieldsInOrder) {
  EXPECT_EQ(format_iteration_line(step_five(), {100, 8192}),
            " iteration=       5/     100 | consumed_samples=         240 |"
            " consumed_tokens=     1966080 | elapsed_time_per_iteration_ms=7741.9 |"
            " learning_rate=0.0002 | global_batch_size=   48 | lm loss=10.861235 |"
            " grad_norm=3.142 | actual_seqlen= 8192 | number_of_skipped_iterations=  0 |"
            " number_of_nan_iterations=  0 | samples_per_second=6.200 |"
            " tokens_per_gpu_per_second_tgs=2116.267 | TFLOPs=23.67 |");
}

TEST(IterationLine, ALossScaleStandsBehindTheLoss) {
  const std::string line = format_iteration_line(step_five(), {100, 8192, true});
  EXPECT_NE(line.find(" | lm loss=10.861235 | loss_scale=1.0 | grad_norm=3.142 |"),
            std::string::npos)
      << line;
}

TEST(IterationLine, SkippedStepShowsNoLossAndCountsTheNan) {
  StepRecord step = step_five();
  step.skipped = true;
  step.skipped_iterations = 7;  // of the run; the line counts its own interval
  step.lm_loss = std::numeric_limits<double>::quiet_NaN();
  step.grad_norm.reset();
  step.next_learning_rate = 1.23456789e-7;
  EXPECT_EQ(format_iteration_line(step, {100, 8192}),
            " iteration=       5/     100 | consumed_samples=         240 |"
            " consumed_tokens=     1966080 | elapsed_time_per_iteration_ms=7741.9 |"
            " learning_rate=1.23457e-07 | global_batch_size=   48 | actual_seqlen= 8192 |"
            " number_of_skipped_iterations=  1 | number_of_nan_iterations=  1 |"
            " samples_per_second=6.200 | tokens_per_gpu_per_second_tgs=2116.267 | TFLOPs=23.67 |");
}

TEST(IterationLine, SkipWithAFiniteLossIsNotANanIteration) {
  StepRecord step = step_five();
  step.skipped = true;
  step.grad_norm = std::numeric_limits<double>::infinity();
  const std::string line = format_iteration_line(step, {100, 8192});
  EXPECT_NE(line.find("number_of_skipped_iterations=  1 |"), std::string::npos) << line;
  EXPECT_NE(line.find("number_of_nan_iterations=  0 |"), std::string::npos) << line;
  EXPECT_NE(line.find("grad_norm=inf |"), std::string::npos) << line;
  EXPECT_EQ(line.find("lm loss"), std::string::npos) << line;
}

TEST(IterationInterval, AveragesTimesLossesAndRates) {
  IterationInterval interval;
  StepRecord first = step_five();
  first.elapsed_ms = 1000;
  first.tokens_per_gpu_per_second = 100;
  first.samples_per_second = 10;
  first.tflops = 1;
  first.lm_loss = 4;
  StepRecord skipped = first;
  skipped.iteration = 6;
  skipped.skipped = true;
  skipped.lm_loss = std::numeric_limits<double>::infinity();
  StepRecord slow = first;
  slow.iteration = 7;
  slow.elapsed_ms = 4000;
  slow.tokens_per_gpu_per_second = 25;
  slow.samples_per_second = 2.5;
  slow.tflops = 0.25;
  slow.lm_loss = 2;
  interval.add(first);
  interval.add(skipped);
  interval.add(slow);
  ASSERT_EQ(interval.steps(), 3);
  const IterationLine line = interval.take();
  EXPECT_EQ(line.last.iteration, 7);
  EXPECT_DOUBLE_EQ(line.last.elapsed_ms, 2000);
  EXPECT_DOUBLE_EQ(line.last.lm_loss, 3);                     // over the two steps that count
  EXPECT_DOUBLE_EQ(line.last.tokens_per_gpu_per_second, 50);  // 300 tokens in 6 s
  EXPECT_DOUBLE_EQ(line.last.samples_per_second, 5);
  EXPECT_DOUBLE_EQ(line.last.tflops, 0.5);
  EXPECT_EQ(line.skipped, 1);
  EXPECT_EQ(line.nan, 1);
}

TEST(IterationInterval, StartsAfreshAfterEachLine) {
  IterationInterval interval;
  StepRecord skipped = step_five();
  skipped.skipped = true;
  interval.add(skipped);
  (void)interval.take();
  EXPECT_EQ(interval.steps(), 0);
  interval.add(step_five());
  const IterationLine line = interval.take();
  EXPECT_EQ(line.skipped, 0);
  EXPECT_DOUBLE_EQ(line.last.lm_loss, step_five().lm_loss);
  EXPECT_DOUBLE_EQ(line.last.elapsed_ms, step_five().elapsed_ms);
}

TEST(Timers, LevelOneNamesTheTwoPhases) {
  IterationInterval interval;
  interval.add(step_five());
  EXPECT_EQ(format_timers(interval.take(), 1),
            "(min, max) time across ranks (ms):\n"
            "    forward-backward ...............................: (6002.25, 6002.25)\n"
            "    optimizer ......................................: (1500.12, 1500.12)");
}

TEST(Timers, LevelTwoAddsPartsAndLevelZeroIsSilent) {
  IterationInterval interval;
  interval.add(step_five());
  const IterationLine line = interval.take();
  EXPECT_EQ(format_timers(line, 0), "");
  EXPECT_EQ(format_timers(line, 2),
            "(min, max) time across ranks (ms):\n"
            "    forward-backward ...............................: (6002.25, 6002.25)\n"
            "    batch-generator ................................: (1.50, 1.50)\n"
            "    forward-compute ................................: (2000.25, 2000.25)\n"
            "    backward-compute ...............................: (4000.50, 4000.50)\n"
            "    optimizer ......................................: (1500.12, 1500.12)");
}

// The fastest and the slowest rank's, over the steps of the interval.
TEST(Timers, SpanTheRanks) {
  IterationInterval interval;
  StepRecord step = step_five();
  step.of_ranks = StepTimesOfRanks{.optimizer = {1, 2, 3}, .forward_backward = {100, 150, 200}};
  interval.add(step);
  step.of_ranks = StepTimesOfRanks{.optimizer = {2, 3, 5}, .forward_backward = {120, 150, 400}};
  interval.add(step);
  EXPECT_EQ(format_timers(interval.take(), 1),
            "(min, max) time across ranks (ms):\n"
            "    forward-backward ...............................: (110.00, 300.00)\n"
            "    optimizer ......................................: (1.50, 4.00)");
}

TEST(Validation, MessageStandsBetweenDashes) {
  EXPECT_EQ(format_validation({100, 2.345678, 10.440328}),
            "--------------------------------------------------------------------------------\n"
            " validation loss at iteration 100 | lm loss value=2.345678lm loss PPL=10.440328\n"
            "--------------------------------------------------------------------------------");
}

TEST(Validation, DashesAreOneLongerThanTheMessage) {
  const std::string text = format_validation({300, 2.5, 12.182494, true, EvaluatedSet::kTest, 160});
  const size_t first = text.find('\n');
  const size_t second = text.find('\n', first + 1);
  const std::string message = text.substr(first + 1, second - first - 1);
  EXPECT_EQ(message,
            " validation loss at iteration 300 on 160-sample draw from test set |"
            " lm loss value=2.500000lm loss PPL=12.182494");
  EXPECT_EQ(text.substr(0, first), std::string(message.size() + 1, '-'));
  EXPECT_EQ(text.substr(second + 1), text.substr(0, first));
}

}  // namespace
}  // namespace borealis
