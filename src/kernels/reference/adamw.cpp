#include "kernels/reference/adamw.h"

#include <cmath>

namespace borealis::reference {

void adamw_update(double* weight, double* m, double* v, const double* gradient, int64_t n,
                  const AdamWStep& step) {
  for (int64_t i = 0; i < n; ++i) {
    const double g = gradient[i] * step.gradient_scale;
    weight[i] *= 1 - step.learning_rate * step.weight_decay;
    m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
    const double mean = m[i] / step.bias_correction1;
    const double root = std::sqrt(v[i] / step.bias_correction2);
    weight[i] -= step.learning_rate * mean / (root + step.eps);
  }
}

}  // namespace borealis::reference
