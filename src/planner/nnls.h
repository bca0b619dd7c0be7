// Small dense problems of fitting.
#pragma once

#include <vector>

namespace borealis {

// The x >= 0 that minimizes |A x - b|, for up to 10 unknowns: each set of unknowns that may be
// above 0 is solved by its normal equations, and the best solution without a negative one is taken
// (exact: the minimum is one of them). rows: A's, each as long as the first. Sets whose columns
// depend on one another are passed over.
std::vector<double> non_negative_least_squares(const std::vector<std::vector<double>>& rows,
                                               const std::vector<double>& b);

// The inverse of a symmetric positive definite matrix; empty where it is not one.
std::vector<std::vector<double>> inverse(std::vector<std::vector<double>> matrix);

// The logarithm of the determinant of a symmetric positive definite matrix; NaN where it is not
// one.
double log_determinant(std::vector<std::vector<double>> matrix);

}  // namespace borealis
