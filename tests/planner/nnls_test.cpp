#include "planner/nnls.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace borealis {
namespace {

using Matrix = std::vector<std::vector<double>>;

// The conditions that the minimum alone meets: x >= 0, the gradient is 0 where x > 0, and not below
// 0 elsewhere.
void expect_minimum(const Matrix& rows, const std::vector<double>& b,
                    const std::vector<double>& x) {
  for (size_t j = 0; j < x.size(); ++j) {
    double gradient = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      double error = -b[i];
      for (size_t k = 0; k < x.size(); ++k) error += rows[i][k] * x[k];
      gradient += rows[i][j] * error;
    }
    EXPECT_GE(x[j], 0);
    if (x[j] > 0) {
      EXPECT_NEAR(gradient, 0, 1e-8) << j;
    } else {
      EXPECT_GE(gradient, -1e-8) << j;
    }
  }
}

TEST(Nnls, MeetsTheConditionsOfAMinimum) {
  const RandomStream random(5, 1);
  uint64_t at = 0;
  int at_a_bound = 0;
  for (int problem = 0; problem < 200; ++problem) {
    Matrix rows(8, std::vector<double>(5));
    std::vector<double> b(8);
    for (size_t i = 0; i < rows.size(); ++i) {
      for (double& value : rows[i]) value = random.normal(at++);
      b[i] = random.normal(at++);
    }
    const std::vector<double> x = non_negative_least_squares(rows, b);
    expect_minimum(rows, b, x);
    for (const double value : x) at_a_bound += value == 0;
  }
  EXPECT_GT(at_a_bound, 200) << "the bounds were not tested";
}

TEST(Nnls, SolvesExactlyAcrossUnitsFarApart) {
  const Matrix rows = {{1e12, 1e-9, 0}, {2e12, 5e-9, 3}, {1e12, 7e-9, 1}, {4e12, 2e-9, 9}};
  const std::vector<double> truth = {3e-12, 2e9, 0.5};
  std::vector<double> b;
  for (const auto& row : rows) {
    b.push_back(row[0] * truth[0] + row[1] * truth[1] + row[2] * truth[2]);
  }
  const std::vector<double> x = non_negative_least_squares(rows, b);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(x[i] / truth[i], 1, 1e-9);
}

TEST(Nnls, ColumnsThatAreOneShareNothing) {
  const std::vector<double> x = non_negative_least_squares({{1, 1}, {2, 2}}, {3, 6});
  EXPECT_NEAR(x[0] + x[1], 3, 1e-12);
}

TEST(Inverse, TimesTheMatrixIsOne) {
  const Matrix matrix = {{4e6, 1e3, 0}, {1e3, 3, 1e-3}, {0, 1e-3, 1e-4}};
  const Matrix inverted = inverse(matrix);
  ASSERT_EQ(inverted.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      double sum = 0;
      for (size_t k = 0; k < 3; ++k) sum += matrix[i][k] * inverted[k][j];
      EXPECT_NEAR(sum, i == j ? 1 : 0, 1e-9);
    }
  }
  EXPECT_TRUE(inverse({{1, 1}, {1, 1}}).empty());
  EXPECT_TRUE(inverse({{0}}).empty());
}

TEST(LogDeterminant, OfWhatIsPositiveDefinite) {
  EXPECT_NEAR(log_determinant({{4, 2}, {2, 3}}), std::log(8), 1e-12);
  EXPECT_NEAR(log_determinant({{1e-8, 0, 0}, {0, 2, 1}, {0, 1, 1}}), std::log(1e-8), 1e-9);
  EXPECT_TRUE(std::isnan(log_determinant({{1, 2}, {2, 1}})));
}

}  // namespace
}  // namespace borealis
