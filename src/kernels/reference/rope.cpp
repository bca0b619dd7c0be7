#include "kernels/reference/rope.h"

#include <cmath>
#include <complex>

namespace borealis::reference {

std::vector<double> rope_frequencies(double theta, int64_t head_dim) {
  std::vector<double> frequencies;
  for (int64_t j = 0; j < head_dim / 2; ++j) {
    frequencies.push_back(
        std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim)));
  }
  return frequencies;
}

void rope(double* x, int64_t rows, int64_t num_heads, int64_t head_dim,
          const std::vector<double>& frequencies, int64_t seq_length, int64_t offset,
          int direction) {
  const int64_t half = head_dim / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const auto position = static_cast<double>(r % seq_length + offset);
    for (int64_t h = 0; h < num_heads; ++h) {
      double* head = x + (r * num_heads + h) * head_dim;
      for (int64_t j = 0; j < half; ++j) {
        const double angle = direction * position * frequencies[static_cast<size_t>(j)];
        const auto turned = std::complex(head[j], head[j + half]) * std::polar(1.0, angle);
        head[j] = turned.real();
        head[j + half] = turned.imag();
      }
    }
  }
}

}  // namespace borealis::reference
