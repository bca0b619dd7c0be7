#include "telemetry/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

StepRecord step_at(int64_t iteration, double elapsed_ms) {
  StepRecord step;
  step.iteration = iteration;
  step.elapsed_ms = elapsed_ms;
  step.lm_loss = 3.2144;
  step.tokens_per_gpu_per_second = 8528.4;
  return step;
}

TEST(TimeLeft, IsUnknownBeforeTheFirstStep) { EXPECT_FALSE(TimeLeft(10).seconds().has_value()); }

TEST(TimeLeft, ForgetsTheSlowFirstStep) {
  TimeLeft left(10);
  left.add(step_at(1, 5000));
  EXPECT_DOUBLE_EQ(left.seconds().value(), 45);
  left.add(step_at(2, 1000));
  EXPECT_DOUBLE_EQ(left.seconds().value(), 8);
  left.add(step_at(3, 2000));
  EXPECT_NEAR(left.seconds().value(), 1.5 * 7, 0.1);
}

TEST(TimeLeft, FollowsAChangeOfPaceAndEndsAtZero) {
  TimeLeft left(300);
  for (int64_t iteration = 1; iteration <= 100; ++iteration) left.add(step_at(iteration, 1000));
  for (int64_t iteration = 101; iteration <= 200; ++iteration) left.add(step_at(iteration, 3000));
  EXPECT_NEAR(left.seconds().value(), 300, 30);  // the second hundred is 2.5 times its memory
  for (int64_t iteration = 201; iteration <= 300; ++iteration) left.add(step_at(iteration, 3000));
  EXPECT_DOUBLE_EQ(left.seconds().value(), 0);
}

TEST(TimeLeft, StepsOfAnotherGlobalBatchDoNotCount) {
  TimeLeft left(100);
  StepRecord step;
  for (int64_t i = 1; i <= 50; ++i) {
    step.iteration = i;
    step.elapsed_ms = 10;
    step.global_batch_size = 2;
    left.add(step);
  }
  EXPECT_NEAR(*left.seconds(), 0.5, 1e-9);
  step.global_batch_size = 64;
  step.elapsed_ms = 320;
  step.iteration = 60;
  left.add(step);
  EXPECT_NEAR(*left.seconds(), 0.32 * 40, 1e-9);
}

TEST(TimeLeft, ValidationsBetweenStepsHaveTheirShare) {
  TimeLeft left(10'000);
  for (int64_t iteration = 1; iteration <= 3000; ++iteration) {
    left.add(step_at(iteration, iteration % 50 == 0 ? 1020 : 20));
    if (iteration > 500) {
      EXPECT_NEAR(left.seconds().value() / (0.040 * static_cast<double>(10'000 - iteration)), 1,
                  0.1);
    }
  }
}

TEST(TimeLeft, IsUnknownBeyondReason) {
  TimeLeft left(10);
  left.add(step_at(1, 1e308));
  EXPECT_FALSE(left.seconds().has_value());
}

TEST(ProgressBar, IsAsLongAsAskedFor) {
  EXPECT_EQ(progress_bar(0.5, 6), "[===>  ]");
  EXPECT_EQ(progress_bar(-1, 3), "[>  ]");
  EXPECT_EQ(progress_bar(7, 3), "[===]");
  EXPECT_EQ(progress_bar(0.5, -2), "[]");
}

TEST(StatusLine, ShowsBarLossRateAndTimeLeft) {
  EXPECT_EQ(format_status(step_at(150, 480), 300, 130, 120),
            "[============>           ] 150/300  loss 3.214  8 528 tokens/s  2 min 10 s left");
}

TEST(StatusLine, FitsAnyTerminal) {
  for (const int columns : {20, 40, 59, 60, 61, 80}) {
    EXPECT_LT(format_status(step_at(150, 480), 300, 130, columns).size(),
              static_cast<size_t>(columns));
  }
  EXPECT_THAT(format_status(step_at(150, 480), 300, 130, 50), StartsWith("150/300"));
}

TEST(StatusLine, GivesUpTheBarBeforeAFigure) {
  EXPECT_EQ(format_status(step_at(150'000, 480), 1'000'000, 6 * 86400 + 3600, 80),
            "150000/1000000  loss 3.214  8 528 tokens/s  6 days 1 h left");
  EXPECT_THAT(format_status(step_at(150'000, 480), 1'000'000, 6 * 86400 + 3600, 100),
              StartsWith("[===>"));
}

TEST(StatusLine, ASkippedStepHasNoLoss) {
  StepRecord step = step_at(7, 480);
  step.skipped = true;
  step.lm_loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(format_status(step, 300, 130, 120), HasSubstr("step skipped"));
}

struct Terminal {
  std::vector<std::string> written;
  ProgressOptions options(bool is_terminal) {
    ProgressOptions options;
    options.total_steps = 300;
    options.terminal = is_terminal;
    options.columns = 120;
    options.redraw_ms = 0;
    options.sink = [this](std::string_view text) { written.emplace_back(text); };
    return options;
  }
};

TEST(Progress, RewritesOneLineAndErasesItAtTheEnd) {
  Terminal terminal;
  {
    Progress progress(terminal.options(true));
    progress.update(step_at(1, 1000));
    progress.update(step_at(2, 1000));
    EXPECT_FALSE(progress.log_line().has_value());
  }
  EXPECT_THAT(terminal.written,
              ElementsAre(StartsWith("\r\x1b[2K["), StartsWith("\r\x1b[2K["), "\r\x1b[2K"));
  for (const std::string& text : terminal.written) EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Progress, ErasesBeforeALogLineAndComesBackAfterIt) {
  Terminal terminal;
  ProgressOptions options = terminal.options(true);
  options.redraw_ms = 1e9;
  Progress progress(options);
  progress.update(step_at(1, 1000));
  progress.update(step_at(2, 1000));  // too soon
  EXPECT_EQ(terminal.written.size(), 1u);
  progress.erase();
  progress.erase();  // once is enough
  EXPECT_EQ(terminal.written.size(), 2u);
  progress.update(step_at(3, 1000));
  ASSERT_EQ(terminal.written.size(), 3u);
  EXPECT_THAT(terminal.written.back(), HasSubstr(" 3/300"));
}

TEST(Progress, WithoutATerminalOnlySpeaksToTheLog) {
  Terminal terminal;
  ProgressOptions options = terminal.options(false);
  options.log_every_s = 0;
  Progress progress(options);
  EXPECT_FALSE(progress.log_line().has_value());  // nothing known yet
  progress.update(step_at(100, 1000));
  EXPECT_EQ(progress.log_line().value_or(""), "100 of 300 steps done, 3 min 20 s left");
  progress.update(step_at(300, 1000));
  EXPECT_FALSE(progress.log_line().has_value());  // done
  EXPECT_TRUE(terminal.written.empty());
}

TEST(Progress, KeepsItsPaceInTheLog) {
  Terminal terminal;
  ProgressOptions options = terminal.options(false);
  options.log_every_s = 3600;
  Progress progress(options);
  progress.update(step_at(1, 1000));
  EXPECT_FALSE(progress.log_line().has_value());
}

}  // namespace
}  // namespace borealis
