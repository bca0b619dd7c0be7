#include "publish/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/measured_runs.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

PerformanceReport compared_report(std::vector<MeasuredRun> runs) {
  return make_performance_report({std::move(runs), {}}, {}, "0.1.0");
}

// Three runs whose medians are these.
PerformanceReport runs_of(const std::vector<double>& step_ms) {
  std::vector<MeasuredRun> runs;
  for (const double ms : step_ms) runs.push_back(measured_run("a", 4, {ms, ms, ms}));
  return compared_report(std::move(runs));
}

TEST(StudentT, IsThatOfTheTables) {  // two-sided, 99 %
  EXPECT_DOUBLE_EQ(student_t_99(1), 63.657);
  EXPECT_DOUBLE_EQ(student_t_99(2), 9.925);
  EXPECT_DOUBLE_EQ(student_t_99(10), 3.169);
  EXPECT_NEAR(student_t_99(7), 3.499, 0.02);
  EXPECT_NEAR(student_t_99(25), 2.787, 0.01);
  EXPECT_NEAR(student_t_99(120), 2.617, 0.01);
  EXPECT_NEAR(student_t_99(1e9), 2.576, 1e-6);
  for (double freedom = 1; freedom < 200; freedom += 0.5) {
    EXPECT_GT(student_t_99(freedom), student_t_99(freedom + 0.5)) << freedom;
  }
}

TEST(Comparison, FindsAChangeBeyondTheRunsNoise) {
  const Comparison comparison =
      compare_reports(runs_of({100, 101, 99}), runs_of({90, 90.5, 89.5}), 0.01);
  ASSERT_EQ(comparison.rows.size(), 1U);
  const ComparedRow& row = comparison.rows.front();
  EXPECT_NEAR(row.change, 100.0 / 90 - 1, 1e-12);
  EXPECT_EQ(row.verdict, Verdict::kFaster);
  // Welch's interval by hand: the standard errors of the means of the logarithms are 0.0057738 and
  // 0.0032076, together 0.0066049, of 3.127 degrees of freedom; t there is 5.64.
  EXPECT_NEAR(*row.uncertainty, std::expm1(5.64 * 0.0066049), 0.0015);
  const Comparison back = compare_reports(runs_of({90, 90.5, 89.5}), runs_of({100, 101, 99}), 0.01);
  EXPECT_EQ(back.rows.front().verdict, Verdict::kSlower);
}

TEST(Comparison, DoesNotTakeNoiseForAChange) {
  const Comparison comparison =
      compare_reports(runs_of({100, 110, 90}), runs_of({97, 107, 87}), 0.01);
  EXPECT_EQ(comparison.rows.front().verdict, Verdict::kSame);
}

TEST(Comparison, ASmallChangeIsNoneHoweverSure) {
  const Comparison comparison =
      compare_reports(runs_of({100, 100, 100}), runs_of({99.5, 99.5, 99.5}), 0.01);
  EXPECT_EQ(comparison.rows.front().verdict, Verdict::kSame);
  EXPECT_EQ(compare_reports(runs_of({100, 100, 100}), runs_of({99.5, 99.5, 99.5}), 0.001)
                .rows.front()
                .verdict,
            Verdict::kFaster);
}

TEST(Comparison, StretchesOfOneRunTellItsNoise) {
  const std::vector<double> steady = {100, 101, 100, 100, 101, 100, 100, 101, 100};
  std::vector<double> faster = steady;
  for (double& ms : faster) ms *= 0.9;
  const Comparison comparison =
      compare_reports(compared_report({measured_run("a", 4, steady)}),
                      compared_report({measured_run("a", 4, faster)}), 0.01);
  EXPECT_EQ(comparison.rows.front().verdict, Verdict::kFaster);
  const Comparison short_run =
      compare_reports(compared_report({measured_run("a", 4, {100, 100})}),
                      compared_report({measured_run("a", 4, {50, 50})}), 0.01);
  EXPECT_EQ(short_run.rows.front().verdict, Verdict::kUnknown);
  EXPECT_FALSE(short_run.rows.front().uncertainty.has_value());
}

TEST(Comparison, MatchesRowsAndNamesTheRest) {
  MeasuredRun elsewhere = measured_run("a", 4, {10});
  elsewhere.machine.cpu_model = "Another CPU";
  MeasuredRun narrow = measured_run("a", 8, {10});
  narrow.dtype = "fp32";
  const Comparison comparison =
      compare_reports(compared_report({measured_run("a", 4, {10}), measured_run("a", 8, {10})}),
                      compared_report({elsewhere, measured_run("a", 12, {10}), narrow}), 0.01);
  EXPECT_THAT(comparison.only_before,
              ElementsAre("a, 4 layers (machine=Some CPU, 2 cores)", "a, 8 layers (DTYPE=bf16)"));
  EXPECT_THAT(comparison.only_after, ElementsAre("a, Another CPU, 2 cores, DTYPE=bf16, 4 layers",
                                                 "a, Some CPU, 2 cores, DTYPE=bf16, 12 layers",
                                                 "a, Some CPU, 2 cores, DTYPE=fp32, 8 layers"));
  const Comparison one_machine =
      compare_reports(compared_report({measured_run("a", 4, {10}), measured_run("a", 8, {10})}),
                      compared_report({elsewhere}), 0.01);
  ASSERT_EQ(one_machine.rows.size(), 1U);
  EXPECT_EQ(one_machine.rows.front().layers, 4);
  EXPECT_THAT(one_machine.only_before, ElementsAre("a, 8 layers"));
}

}  // namespace
}  // namespace borealis
