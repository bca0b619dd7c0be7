// Whole numbers out of JSON that may be damaged: the library converts 1e30 to an integer without a
// word, which is undefined.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>

#include "base/json_excerpt.h"

namespace borealis {

// Throws std::runtime_error for what is no whole number, or none that T holds.
template <typename T = int64_t, typename Json>
T whole_number(const Json& json) {
  if (json.is_number_integer()) {
    const auto value = json.template get<int64_t>();
    const bool wrapped = json.is_number_unsigned() && value < 0;
    if (!wrapped && value >= std::numeric_limits<T>::min() &&
        value <= std::numeric_limits<T>::max()) {
      return static_cast<T>(value);
    }
  }
  throw std::runtime_error("'" + json_excerpt(json) + "' is not a whole number of its range");
}

}  // namespace borealis
