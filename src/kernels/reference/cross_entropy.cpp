#include "kernels/reference/cross_entropy.h"

#include <algorithm>
#include <cmath>

namespace borealis::reference {

void cross_entropy(const double* logits, const int32_t* targets, int64_t rows, int64_t cols,
                   double scale, double* loss, double* dlogits) {
  for (int64_t r = 0; r < rows; ++r) {
    const double* row = logits + r * cols;
    const double max = *std::max_element(row, row + cols);
    double sum = 0;
    for (int64_t c = 0; c < cols; ++c) sum += std::exp(row[c] - max);
    loss[r] = max + std::log(sum) - row[targets[r]];
    for (int64_t c = 0; c < cols; ++c) {
      const double probability = std::exp(row[c] - max) / sum;
      dlogits[r * cols + c] = scale * (probability - (c == targets[r] ? 1 : 0));
    }
  }
}

}  // namespace borealis::reference
