#include "data/numpy_random.h"

#include <array>
#include <bit>

namespace borealis {

uint64_t NumpyRandom::up_to(uint64_t limit) {
  if (limit == 0) return 0;  // draws nothing
  const uint64_t mask = ~uint64_t{0} >> std::countl_zero(limit);
  for (;;) {
    uint64_t value = engine_();
    if (limit > 0xffffffffu) value = (value << 32) | engine_();
    value &= mask;
    if (value <= limit) return value;
  }
}

double numpy_sum(std::span<const double> values) {
  constexpr size_t kLanes = 8;
  constexpr size_t kBlock = 128;
  const size_t n = values.size();
  if (n > kBlock) {
    const size_t half = n / 2 / kLanes * kLanes;
    return numpy_sum(values.first(half)) + numpy_sum(values.subspan(half));
  }
  double sum = 0;
  size_t next = 0;
  if (n >= kLanes) {
    std::array<double, kLanes> lane{};
    for (; next + kLanes <= n; next += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) {
        lane[j] = next == 0 ? values[j] : lane[j] + values[next + j];
      }
    }
    sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  }
  for (; next < n; ++next) sum += values[next];
  return sum;
}

}  // namespace borealis
