// Normal random numbers by the billion, for initial weights: the vector twin of
// RandomStream::normal.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace borealis {

// values[i] = stddev * random.normal(first + i), i < size, rounded once to T (float or bf16).
// Before the rounding it agrees with the scalar function to a few units of f64 (its sine, cosine
// and logarithm are polynomials of their own), and it is the same for any number of threads.
template <typename T>
void fill_normal(const RandomStream& random, double stddev, int64_t first, T* values, int64_t size);

}  // namespace borealis
