#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace borealis {

// Of at least one value, none of them NaN; the mean of the middle two of an even number.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace borealis
