#include "telemetry/step_series.h"

#include <gtest/gtest.h>

#include <cmath>

namespace borealis {
namespace {

StepRecord step(int64_t iteration) {
  StepRecord record;
  record.iteration = iteration;
  record.lm_loss = 10.0 / static_cast<double>(iteration);
  return record;
}

TEST(StepSeries, KeepsAllOfAShortRun) {
  StepSeries series;
  for (int64_t i = 1; i <= 1000; ++i) series.add(step(i));
  EXPECT_EQ(series.stride(), 1);
  ASSERT_EQ(series.steps().size(), 1000u);
  EXPECT_EQ(series.steps()[499].iteration, 500);
}

// Also where the last step is not at the stride, and after several halvings.
TEST(StepSeries, ThinsALongRunEvenly) {
  for (const int64_t steps : {100'001, 100'002, 250'000, 999'999}) {
    StepSeries series;
    for (int64_t i = 1; i <= steps; ++i) series.add(step(i));
    const auto& kept = series.steps();
    ASSERT_LE(kept.size(), StepSeries::kMostSteps);
    EXPECT_GE(kept.size(), StepSeries::kMostSteps / 2);
    EXPECT_EQ(series.count(), steps);
    EXPECT_EQ(kept.front().iteration, 1);
    EXPECT_EQ(kept.back().iteration, steps);
    for (size_t i = 0; i + 1 < kept.size(); ++i) {
      ASSERT_EQ(kept[i].iteration, 1 + static_cast<int64_t>(i) * series.stride()) << steps;
    }
    EXPECT_EQ(series.first_loss(), 10);
    EXPECT_EQ(series.final_loss(), 10.0 / static_cast<double>(steps));
  }
}

TEST(StepSeries, LossesAreOfStepsThatWereMade) {
  StepSeries series;
  EXPECT_TRUE(std::isnan(series.first_loss()));
  for (int64_t i = 1; i <= 4; ++i) {
    StepRecord record = step(i);
    record.skipped = i == 1 || i == 4;
    series.add(record);
  }
  EXPECT_EQ(series.first_loss(), 5);
  EXPECT_EQ(series.final_loss(), 10.0 / 3);
}

}  // namespace
}  // namespace borealis
