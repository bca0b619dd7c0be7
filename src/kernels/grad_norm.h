// The reduction behind the global gradient norm.
#pragma once

#include <cstdint>

namespace borealis {

// sum of x[i]^2, accumulated in f64. x is cut into blocks of kSumBlock elements whatever the number
// of threads, and the blocks' sums are added in order: the same bits for any number of threads. NaN
// and infinity come through.
constexpr int64_t kSumBlock = 65536;
double sum_of_squares(const float* x, int64_t n);

}  // namespace borealis
