// RMS norm in double, as the formula reads: the twin that kernels/rms_norm.h is tested against.
// Nothing is rounded between the operations.
#pragma once

#include <cstdint>

namespace borealis::reference {

void rms_norm_forward(const double* x, const double* weight, double eps, int64_t rows, int64_t D,
                      double* y, double* inv_rms);

// dx and dweight accumulate.
void rms_norm_backward(const double* dy, const double* x, const double* weight, double eps,
                       int64_t rows, int64_t D, double* dx, double* dweight);

}  // namespace borealis::reference
