#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"

namespace borealis {

void attention_decode(const AttentionShape& shape, const float* q, const float* keys,
                      const float* values, int64_t capacity, int64_t length, float* out) {
  const int64_t C = shape.head_dim, G = shape.group_size();
  const float scale = 1.0f / std::sqrt(static_cast<float>(C));
#pragma omp parallel for schedule(static)
  for (int64_t head = 0; head < shape.num_heads; ++head) {
    const float* key = keys + head / G * capacity * C;
    const float* value = values + head / G * capacity * C;
    float* o = out + head * C;
    std::fill_n(o, C, 0.0f);
    float largest = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int64_t t = 0; t < length; ++t) {  // online softmax, one key at a time
      float score = 0;
      for (int64_t c = 0; c < C; ++c) score += q[head * C + c] * key[t * C + c];
      score *= scale;
      if (score > largest) {
        const float rescale = std::exp(largest - score);
        sum *= rescale;
        for (int64_t c = 0; c < C; ++c) o[c] *= rescale;
        largest = score;
      }
      const float p = std::exp(score - largest);
      sum += p;
      for (int64_t c = 0; c < C; ++c) o[c] += p * value[t * C + c];
    }
    for (int64_t c = 0; c < C; ++c) o[c] /= sum;
  }
}

}  // namespace borealis
