// Softmax cross entropy over whole rows in double: the twin of kernels/cross_entropy.h.
#pragma once

#include <cstdint>

namespace borealis::reference {

// loss [rows]; dlogits [rows, cols] = d(scale * sum of losses) / d logits. logits [rows, cols].
void cross_entropy(const double* logits, const int32_t* targets, int64_t rows, int64_t cols,
                   double scale, double* loss, double* dlogits);

}  // namespace borealis::reference
