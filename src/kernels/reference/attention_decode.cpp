#include "kernels/reference/attention_decode.h"

#include <algorithm>
#include <cmath>

namespace borealis::reference {

std::vector<double> attention_decode(const std::vector<double>& query,
                                     const std::vector<double>& keys,
                                     const std::vector<double>& values) {
  const size_t C = query.size(), T = keys.size() / C;
  std::vector<double> p(T), out(C);
  for (size_t t = 0; t < T; ++t) {
    for (size_t c = 0; c < C; ++c) p[t] += query[c] * keys[t * C + c];
    p[t] /= std::sqrt(static_cast<double>(C));
  }
  const double largest = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& value : p) sum += value = std::exp(value - largest);
  for (size_t t = 0; t < T; ++t) {
    for (size_t c = 0; c < C; ++c) out[c] += p[t] / sum * values[t * C + c];
  }
  return out;
}

}  // namespace borealis::reference
