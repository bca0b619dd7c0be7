// Whole numbers out of JSON that may be damaged: the library's own conversion cuts fractions off,
// and of 1e30 it makes an integer without a word, which is undefined.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/json_excerpt.h"

namespace borealis {

// The value, if it is a whole number within [least, most].
template <typename Json>
std::optional<int64_t> whole_number_in(const Json& value, int64_t least, int64_t most) {
  if (!value.is_number_integer()) return std::nullopt;
  const auto number = value.template get<int64_t>();
  const bool wrapped = value.is_number_unsigned() && number < 0;
  if (wrapped || number < least || number > most) return std::nullopt;
  return number;
}

// "2.5, which is not a whole number of 1 to 3": why it is not.
template <typename Json>
std::string not_whole(const Json& value, int64_t least, int64_t most) {
  return fmt::format("{}, which is not a whole number of {} to {}", json_excerpt(value), least,
                     most);
}

// Throws std::runtime_error for what is no whole number, or none that T holds.
template <typename T = int64_t, typename Json>
requires requires(const Json& json) { json.is_number_integer(); }  // not base/text.h's of a text
T whole_number(const Json& json) {
  using Limits = std::numeric_limits<T>;
  if (const auto value = whole_number_in(json, Limits::min(), Limits::max())) {
    return static_cast<T>(*value);
  }
  throw std::runtime_error("'" + json_excerpt(json) + "' is not a whole number of its range");
}

}  // namespace borealis
