#include "checkpoint/tensor_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"

namespace borealis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool same_value(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void add_non_finite(std::span<const float> values, NonFiniteCount& count) {
  for (const float value : values) {
    if (std::isnan(value)) {
      ++count.nan;
    } else if (std::isinf(value)) {
      ++count.infinite;
    }
  }
}

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
  for_each_part(tensor, tensor.element_count(),
                [&](int64_t, std::span<const float> part) { add_non_finite(part, count); });
  return count;
}

TensorElements counting_non_finite(TensorElements tensor, NonFiniteCount& count) {
  const auto seen = std::make_shared<int64_t>(0);  // elements from the first on
  tensor.read = [read = std::move(tensor.read), seen, &count](int64_t begin, std::span<float> out) {
    read(begin, out);
    const int64_t end = begin + static_cast<int64_t>(out.size());
    const int64_t known = std::clamp(*seen, begin, end) - begin;
    add_non_finite(out.subspan(static_cast<size_t>(known)), count);
    *seen = std::max(*seen, end);
  };
  return tensor;
}

}  // namespace borealis
