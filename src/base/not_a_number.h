#pragma once

#include <limits>

namespace borealis {

// A figure that is not there: not measured, or of a step that had none.
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace borealis
