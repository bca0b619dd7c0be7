// The two pieces of NumPy that decide the order of a Megatron data set, bit for bit.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>

namespace borealis {

// numpy.random.RandomState(seed): MT19937 with the standard 32-bit initialisation.
class NumpyRandom {
 public:
  explicit NumpyRandom(uint32_t seed) : engine_(seed) {}

  // In [0, limit]: masks random words and rejects those above (RandomState's random_interval).
  uint64_t up_to(uint64_t limit);

  // RandomState.shuffle of a one-dimensional array.
  template <typename T>
  void shuffle(std::span<T> values) {
    for (size_t i = values.size(); i-- > 1;) std::swap(values[i], values[up_to(i)]);
  }

 private:
  std::mt19937 engine_;
};

// numpy.sum of contiguous float64, whose pairwise order rounds differently from a loop.
double numpy_sum(std::span<const double> values);

}  // namespace borealis
