// SwiGLU in double: the twin that kernels/swiglu.h is tested against.
#pragma once

#include <cstdint>

namespace borealis::reference {

void swiglu_forward(const double* gate_up, int64_t rows, int64_t F, double* out);
void swiglu_backward(const double* gate_up, const double* dout, int64_t rows, int64_t F,
                     double* dgate_up);

}  // namespace borealis::reference
