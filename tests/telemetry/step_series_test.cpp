#include "telemetry/step_series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

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

std::vector<int64_t> iterations_of(const StepSeries& series) {
  std::vector<int64_t> iterations;
  for (const StepRecord& kept : series.steps()) iterations.push_back(kept.iteration);
  return iterations;
}

bool has(const std::vector<int64_t>& iterations, int64_t iteration) {
  return std::ranges::binary_search(iterations, iteration);
}

// Also where the last step is not at the stride, and after several halvings.
TEST(StepSeries, ThinsALongRunEvenly) {
  for (const int64_t steps : {100'001, 100'002, 250'000, 999'999}) {
    StepSeries series;
    for (int64_t i = 1; i <= steps; ++i) series.add(step(i));
    const std::vector<int64_t> kept = iterations_of(series);
    ASSERT_LE(kept.size(), StepSeries::kMostSteps * 6 / 5);
    EXPECT_GE(kept.size(), StepSeries::kMostSteps / 2);
    EXPECT_EQ(series.count(), steps);
    EXPECT_TRUE(std::ranges::is_sorted(kept, std::ranges::less_equal()));
    EXPECT_EQ(kept.front(), 1);
    EXPECT_EQ(kept.back(), steps);
    EXPECT_EQ(series.last()->iteration, steps);
    for (int64_t i = 1; i <= steps; i += series.stride()) ASSERT_TRUE(has(kept, i)) << i;
    for (int64_t i = 1; i <= 32; ++i) EXPECT_TRUE(has(kept, i)) << i;
    for (int64_t i = steps - 300; i <= steps; ++i) EXPECT_TRUE(has(kept, i)) << i;
    EXPECT_EQ(series.first_loss(), 10);
    EXPECT_EQ(series.final_loss(), 10.0 / static_cast<double>(steps));
  }
}

// Of series as short as those of a live report and as long as those of files.
TEST(StepSeries, KeepsWhatStandsOut) {
  for (const size_t most : {size_t{4000}, StepSeries::kMostSteps}) {
    StepSeries series(most);
    for (int64_t i = 1; i <= 300'000; ++i) {
      StepRecord record = step(i);
      record.elapsed_ms = 2;
      record.grad_norm = 1;
      record.tokens_per_gpu_per_second = 1000;
      if (i == 100'002) record.lm_loss = 99;
      if (i == 100'004) record.grad_norm = 7777;
      if (i == 200'006) record.tokens_per_gpu_per_second = 2;
      if (i == 200'008) record.tokens_per_gpu_per_second = 5000;
      if (i == 200'010) record.lm_loss = 1e-9;
      if (i == 250'012 || i == 250'014) record.skipped = true;
      series.add(record);
    }
    ASSERT_GT(series.stride(), 1);
    const std::vector<StepRecord> steps = series.steps();
    const std::vector<int64_t> kept = iterations_of(series);
    for (const int64_t i : {100'002, 100'004, 200'006, 200'008, 200'010, 250'012, 250'014}) {
      EXPECT_TRUE(has(kept, i)) << i << " of " << most;
    }
    EXPECT_EQ(std::ranges::count_if(steps, &StepRecord::skipped), 2);
    EXPECT_LE(steps.size(), most * 6 / 5 + 64);
    for (const StepRecord& one : steps) {
      ASSERT_EQ(one.training_ms, 2 * static_cast<double>(one.iteration));
    }
  }
}

// What stands out is told: the mean of the others is that of all steps.
TEST(StepSeries, MeansAreOfStepsThatDoNotStandOut) {
  StepSeries series(2000);
  double sum = 0;
  for (int64_t i = 1; i <= 200'000; ++i) {
    StepRecord record = step(i);
    record.lm_loss = i % 5001 == 0 ? 50 : 2 + 1e-6 * static_cast<double>(i);
    sum += record.lm_loss;
    series.add(record);
  }
  double even = 0, all = 0;
  int64_t count = 0;
  const std::vector<StepRecord> steps = series.steps();
  for (const StepRecord& one : steps) {
    all += one.lm_loss;
    if (one.stands_out) continue;
    even += one.lm_loss;
    ++count;
  }
  EXPECT_NEAR(even / static_cast<double>(count), sum / 200'000, 0.05);
  EXPECT_GT(all / static_cast<double>(steps.size()), sum / 200'000 + 0.2);
}

TEST(StepSeries, SkippedStepsDoNotCrowdOutTheOthers) {
  StepSeries series(1000);
  for (int64_t i = 1; i <= 50'000; ++i) {
    StepRecord record = step(i);
    record.skipped = i % 2 == 0;
    series.add(record);
  }
  EXPECT_LE(series.steps().size(), 1264u);
  // Those that are left are of the whole run.
  const std::vector<StepRecord> steps = series.steps();
  const auto skipped_in = [&](int64_t first, int64_t last) {
    return std::ranges::count_if(steps, [&](const StepRecord& one) {
      return one.skipped && one.iteration >= first && one.iteration < last;
    });
  };
  EXPECT_GT(skipped_in(1'000, 25'000), 10);
  EXPECT_GT(skipped_in(25'000, 49'000), 10);
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
