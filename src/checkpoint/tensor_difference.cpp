#include "checkpoint/tensor_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"

namespace borealis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool same_value(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TensorDifference compare_tensors(const TensorElements& a, const TensorElements& b) {
  CHECK(a.shape == b.shape, a.name);
  TensorDifference difference{.elements = a.element_count()};
  double distance = 0, length = 0;
  std::vector<float> other;
  for_each_part(a, difference.elements, [&](int64_t begin, std::span<const float> part) {
    other.resize(part.size());
    b.read(begin, other);
    for (size_t i = 0; i < part.size(); ++i) {
      const double value = part[i];
      if (std::isfinite(value)) length += value * value;
      if (same_value(part[i], other[i])) continue;
      ++difference.different;
      double gap = std::abs(value - static_cast<double>(other[i]));
      if (!std::isfinite(gap)) gap = kInfinity;  // of a NaN and a number, too
      difference.max_absolute = std::max(difference.max_absolute, gap);
      distance += gap * gap;
    }
  });
  if (distance > 0) difference.relative = length > 0 ? std::sqrt(distance / length) : kInfinity;
  return difference;
}

NonFiniteCount count_non_finite(const TensorElements& tensor) {
  NonFiniteCount count;
  for_each_part(tensor, tensor.element_count(), [&](int64_t, std::span<const float> part) {
    for (const float value : part) {
      if (std::isnan(value)) {
        ++count.nan;
      } else if (std::isinf(value)) {
        ++count.infinite;
      }
    }
  });
  return count;
}

}  // namespace borealis
