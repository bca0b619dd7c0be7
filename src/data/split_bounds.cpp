#include "data/split_bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace borealis {

SplitShares parse_split(const std::string& text) {
  if (const auto shares = parse_split_shares(text)) return *shares;
  throw Error(ErrorKind::kConfig,
              fmt::format("the split '{}' is not one to three shares with a sum above 0", text),
              "give the shares of training, validation and test data as in 990,10,0 or 0.9,0.1");
}

std::array<int64_t, 4> split_bounds(const SplitShares& shares, int64_t count) {
  const double sum = shares[0] + shares[1] + shares[2];
  std::array<int64_t, 4> bounds{};
  for (size_t part = 0; part < shares.size(); ++part) {
    const double fraction = shares[part] / sum;
    // nearbyint rounds half to even in the default rounding mode, as Python's round() does.
    bounds[part + 1] =
        bounds[part] + static_cast<int64_t>(std::nearbyint(fraction * static_cast<double>(count)));
  }
  const int64_t surplus = bounds[3] - count;
  for (size_t part = 1; part < bounds.size(); ++part) {
    bounds[part] = std::max<int64_t>(0, bounds[part] - surplus);
  }
  return bounds;
}

const char* split_name(Split split) {
  constexpr std::array kNames = {"training", "validation", "test"};
  return kNames[static_cast<size_t>(split)];
}

const char* split_variable(Split split) {
  constexpr std::array kNames = {"TRAIN_SPLIT", "VAL_SPLIT", "TEST_SPLIT"};
  return kNames[static_cast<size_t>(split)];
}

}  // namespace borealis
