#include "planner/nnls.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace borealis {
namespace {

using Matrix = std::vector<std::vector<double>>;

double squared_error(const Matrix& rows, const std::vector<double>& b,
                     const std::vector<double>& x) {
  double sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    double error = -b[i];
    for (size_t j = 0; j < x.size(); ++j) error += rows[i][j] * x[j];
    sum += error * error;
  }
  return sum;
}

// The least squares over the columns of `set`, 0 elsewhere; empty where there is no single one.
std::vector<double> solve_set(const Matrix& gram, const std::vector<double>& projected,
                              const std::vector<size_t>& set) {
  Matrix part(set.size(), std::vector<double>(set.size()));
  for (size_t i = 0; i < set.size(); ++i) {
    for (size_t j = 0; j < set.size(); ++j) part[i][j] = gram[set[i]][set[j]];
  }
  const Matrix inverted = inverse(std::move(part));
  if (inverted.empty()) return {};
  std::vector<double> x(projected.size(), 0);
  for (size_t i = 0; i < set.size(); ++i) {
    for (size_t j = 0; j < set.size(); ++j) x[set[i]] += inverted[i][j] * projected[set[j]];
  }
  return x;
}

}  // namespace

Matrix inverse(Matrix matrix) {
  const size_t n = matrix.size();
  // Columns are brought to one size first: their units may lie far apart.
  std::vector<double> scale(n);
  for (size_t i = 0; i < n; ++i) {
    if (!(matrix[i][i] > 0)) return {};
    scale[i] = 1 / std::sqrt(matrix[i][i]);
  }
  Matrix result(n, std::vector<double>(n, 0));
  for (size_t i = 0; i < n; ++i) {
    result[i][i] = 1;
    for (size_t j = 0; j < n; ++j) matrix[i][j] *= scale[i] * scale[j];
  }
  constexpr double kSmallestPivot = 1e-12;
  for (size_t k = 0; k < n; ++k) {
    const double pivot = matrix[k][k];
    if (!(pivot > kSmallestPivot)) return {};
    for (size_t j = 0; j < n; ++j) {
      matrix[k][j] /= pivot;
      result[k][j] /= pivot;
    }
    for (size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = matrix[i][k];
      for (size_t j = 0; j < n; ++j) {
        matrix[i][j] -= factor * matrix[k][j];
        result[i][j] -= factor * result[k][j];
      }
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) result[i][j] *= scale[i] * scale[j];
  }
  return result;
}

double log_determinant(Matrix matrix) {
  double sum = 0;
  for (size_t k = 0; k < matrix.size(); ++k) {
    const double pivot = matrix[k][k];
    if (!(pivot > 0)) return std::numeric_limits<double>::quiet_NaN();
    sum += std::log(pivot);
    for (size_t i = k + 1; i < matrix.size(); ++i) {
      const double factor = matrix[i][k] / pivot;
      for (size_t j = k; j < matrix.size(); ++j) matrix[i][j] -= factor * matrix[k][j];
    }
  }
  return sum;
}

std::vector<double> non_negative_least_squares(const Matrix& rows, const std::vector<double>& b) {
  CHECK(!rows.empty() && rows.size() == b.size());
  const size_t n = rows.front().size();
  CHECK(n <= 10);
  Matrix gram(n, std::vector<double>(n, 0));
  std::vector<double> projected(n, 0);
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t i = 0; i < n; ++i) {
      projected[i] += rows[r][i] * b[r];
      for (size_t j = 0; j < n; ++j) gram[i][j] += rows[r][i] * rows[r][j];
    }
  }
  std::vector<double> best(n, 0);
  double least = squared_error(rows, b, best);
  for (unsigned bits = 1; bits < 1u << n; ++bits) {
    std::vector<size_t> set;
    for (size_t i = 0; i < n; ++i) {
      if ((bits >> i & 1u) != 0) set.push_back(i);
    }
    const std::vector<double> x = solve_set(gram, projected, set);
    bool feasible = !x.empty();
    for (const double value : x) feasible = feasible && value >= 0;
    if (!feasible) continue;
    const double error = squared_error(rows, b, x);
    if (error >= least) continue;
    least = error;
    best = x;
  }
  return best;
}

}  // namespace borealis
