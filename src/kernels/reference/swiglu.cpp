#include "kernels/reference/swiglu.h"

#include <cmath>

namespace borealis::reference {

void swiglu_forward(const double* gate_up, int64_t rows, int64_t F, double* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < F; ++i) {
      const double gate = gate_up[r * 2 * F + i], up = gate_up[r * 2 * F + F + i];
      out[r * F + i] = gate / (1 + std::exp(-gate)) * up;
    }
  }
}

void swiglu_backward(const double* gate_up, const double* dout, int64_t rows, int64_t F,
                     double* dgate_up) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < F; ++i) {
      const int64_t at = r * 2 * F + i;
      const double gate = gate_up[at], up = gate_up[at + F], gradient = dout[r * F + i];
      const double sigmoid = 1 / (1 + std::exp(-gate));
      dgate_up[at] = gradient * up * (sigmoid + gate * sigmoid * (1 - sigmoid));
      dgate_up[at + F] = gradient * gate * sigmoid;
    }
  }
}

}  // namespace borealis::reference
