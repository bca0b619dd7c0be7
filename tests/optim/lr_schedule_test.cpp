#include "optim/lr_schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace borealis {
namespace {

// 100 iterations of 48 samples, warm-up 5 %, peak 2e-4; the reference trainer's values after
// iterations 0, 1, 5, 6, 50, 71 and 100.
constexpr double kSamplesPerStep = 48;
constexpr double kDecaySamples = 100 * kSamplesPerStep;
const std::vector<int> kIterations = {0, 1, 5, 6, 50, 71, 100};

void expect_schedule(const ScheduleConfig& schedule, const std::vector<double>& expected) {
  for (size_t i = 0; i < kIterations.size(); ++i) {
    const double lr = learning_rate_at(schedule, kIterations[i] * kSamplesPerStep, kDecaySamples);
    EXPECT_NEAR(lr, expected[i], 5e-6 * 2e-4) << "after iteration " << kIterations[i];
  }
}

ScheduleConfig schedule_of(LrDecayStyle style, double min_learning_rate = 0) {
  ScheduleConfig schedule;
  schedule.decay_style = style;
  schedule.min_learning_rate = min_learning_rate;
  return schedule;
}

TEST(LrSchedule, Linear) {
  expect_schedule(schedule_of(LrDecayStyle::kLinear),
                  {0, 4e-5, 2e-4, 1.97895e-4, 1.05263e-4, 6.10526e-5, 0});
}

TEST(LrSchedule, Cosine) {
  expect_schedule(schedule_of(LrDecayStyle::kCosine),
                  {0, 4e-5, 2e-4, 1.99945e-4, 1.08258e-4, 4.25671e-5, 0});
}

TEST(LrSchedule, InverseSquareRoot) {
  expect_schedule(schedule_of(LrDecayStyle::kInverseSquareRoot),
                  {0, 4e-5, 2e-4, 1.82574e-4, 6.32456e-5, 5.30745e-5, 4.47214e-5});
}

TEST(LrSchedule, InfiniteStylesMayBeginOnTheirPlateau) {
  for (const LrDecayStyle style :
       {LrDecayStyle::kInfiniteCosine, LrDecayStyle::kInfiniteInverseSquareRoot}) {
    ScheduleConfig schedule = schedule_of(style, 1e-5);
    schedule.warmup_fraction = schedule.cooldown_fraction = 0;
    EXPECT_EQ(learning_rate_at(schedule, 0, 1000), schedule.constant_learning_rate);
  }
}

TEST(LrSchedule, InfiniteCosine) {
  expect_schedule(schedule_of(LrDecayStyle::kInfiniteCosine, 1e-5),
                  {0, 4e-5, 2e-4, 1.99947e-4, 1.29437e-4, 1.0234e-4, 1e-5});
}

TEST(LrSchedule, InfiniteInverseSquareRoot) {
  expect_schedule(schedule_of(LrDecayStyle::kInfiniteInverseSquareRoot, 1e-5),
                  {0, 4e-5, 2e-4, 1.91103e-4, 1.16926e-4, 1.0234e-4, 1e-5});
}

TEST(LrSchedule, ConstantHoldsItsPeakForEver) {
  expect_schedule(schedule_of(LrDecayStyle::kConstant), {0, 4e-5, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4});
  EXPECT_EQ(learning_rate_at(schedule_of(LrDecayStyle::kConstant), 1e9, kDecaySamples), 2e-4);
}

// A value of the reference's published log, to all its digits.
TEST(LrSchedule, ConstantWithCooldownAgreesWithAPublishedLog) {
  ScheduleConfig schedule = schedule_of(LrDecayStyle::kConstant, 2e-5);
  schedule.constant_plus_cooldown = true;
  schedule.constant_plus_cooldown_fraction = 0.5;
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 136005.0 * 6144, 136100.0 * 6144),
                   2.012568679065123e-05);
}

TEST(LrSchedule, WithoutWarmupStartsAtThePeak) {
  ScheduleConfig schedule = schedule_of(LrDecayStyle::kCosine);
  schedule.warmup_fraction = 0;
  EXPECT_EQ(learning_rate_at(schedule, 0, kDecaySamples), 2e-4);
}

TEST(LrSchedule, StaysAtItsFloorBeyondTheEnd) {
  for (const LrDecayStyle style :
       {LrDecayStyle::kLinear, LrDecayStyle::kCosine, LrDecayStyle::kInverseSquareRoot,
        LrDecayStyle::kInfiniteCosine, LrDecayStyle::kInfiniteInverseSquareRoot}) {
    EXPECT_EQ(learning_rate_at(schedule_of(style, 1e-5), kDecaySamples + 1, kDecaySamples), 1e-5);
  }
}

}  // namespace
}  // namespace borealis
