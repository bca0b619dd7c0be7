#include "data/split_bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "base/error.h"

namespace borealis {
namespace {

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

[[noreturn]] void refuse_split(const std::string& text, const std::string& problem) {
  throw Error(ErrorKind::kConfig, fmt::format("the split '{}' {}", text, problem),
              "give the shares of training, validation and test data as in 990,10,0");
}

}  // namespace

SplitShares parse_split(const std::string& text) {
  SplitShares shares{};
  size_t count = 0;
  std::istringstream stream(text);
  for (std::string field; std::getline(stream, field, ','); ++count) {
    if (count == shares.size()) refuse_split(text, "has more than three shares");
    const std::string number = trimmed(field);
    const char* end = number.data() + number.size();
    const auto result = std::from_chars(number.data(), end, shares[count]);
    if (number.empty() || result.ec != std::errc() || result.ptr != end) {
      refuse_split(text, fmt::format("has the share '{}', not a whole number", number));
    }
    if (shares[count] < 0) refuse_split(text, "has a negative share");
  }
  if (count != shares.size()) refuse_split(text, "does not have three shares");
  if (shares[0] + shares[1] + shares[2] == 0) refuse_split(text, "adds up to zero");
  return shares;
}

std::array<int64_t, 4> split_bounds(const SplitShares& shares, int64_t count) {
  const auto sum = static_cast<double>(shares[0] + shares[1] + shares[2]);
  std::array<int64_t, 4> bounds{};
  for (size_t part = 0; part < shares.size(); ++part) {
    const double fraction = static_cast<double>(shares[part]) / sum;
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
