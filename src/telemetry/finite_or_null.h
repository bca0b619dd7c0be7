#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace borealis {

// JSON has no NaN and no infinity: such a figure is null there.
inline nlohmann::ordered_json finite_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}
inline nlohmann::ordered_json finite_or_null(std::optional<double> value) {
  return value ? finite_or_null(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace borealis
