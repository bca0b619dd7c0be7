#include "kernels/reference/rms_norm.h"

#include <cmath>

namespace borealis::reference {
namespace {

double inverse_rms(const double* x, double eps, int64_t D) {
  double squares = 0;
  for (int64_t i = 0; i < D; ++i) squares += x[i] * x[i];
  return 1 / std::sqrt(squares / static_cast<double>(D) + eps);
}

}  // namespace

void rms_norm_forward(const double* x, const double* weight, double eps, int64_t rows, int64_t D,
                      double* y, double* inv_rms) {
  for (int64_t r = 0; r < rows; ++r) {
    inv_rms[r] = inverse_rms(x + r * D, eps, D);
    for (int64_t i = 0; i < D; ++i) y[r * D + i] = weight[i] * (x[r * D + i] * inv_rms[r]);
  }
}

// y_i = w_i x_i s with s = (sum x^2 / D + eps)^(-1/2), so ds/dx_j = -s^3 x_j / D.
void rms_norm_backward(const double* dy, const double* x, const double* weight, double eps,
                       int64_t rows, int64_t D, double* dx, double* dweight) {
  for (int64_t r = 0; r < rows; ++r) {
    const double *x_row = x + r * D, *dy_row = dy + r * D;
    const double s = inverse_rms(x_row, eps, D);
    double ds = 0;
    for (int64_t i = 0; i < D; ++i) ds += dy_row[i] * weight[i] * x_row[i];
    for (int64_t i = 0; i < D; ++i) {
      dx[r * D + i] +=
          dy_row[i] * weight[i] * s - ds * s * s * s * x_row[i] / static_cast<double>(D);
      dweight[i] += dy_row[i] * x_row[i] * s;
    }
  }
}

}  // namespace borealis::reference
