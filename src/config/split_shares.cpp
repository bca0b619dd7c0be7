#include "config/split_shares.h"

#include <algorithm>
#include <charconv>

namespace borealis {

std::optional<SplitShares> parse_split_shares(std::string_view text) {
  constexpr double kLargest = 1e12;
  constexpr std::string_view kBlanks = " \t";
  const char separator = text.find(',') == std::string_view::npos ? '/' : ',';
  SplitShares shares{};
  double sum = 0;
  for (size_t part = 0;; ++part) {
    if (part == shares.size()) return std::nullopt;
    const size_t end = text.find(separator);
    std::string_view number = text.substr(0, end);
    number.remove_prefix(std::min(number.find_first_not_of(kBlanks), number.size()));
    number = number.substr(0, number.find_last_not_of(kBlanks) + 1);
    const char* const last = number.data() + number.size();
    const auto [stop, code] = std::from_chars(number.data(), last, shares[part]);
    const bool in_range = shares[part] >= 0 && shares[part] <= kLargest;  // no NaN is
    if (code != std::errc() || stop != last || !in_range) return std::nullopt;
    sum += shares[part];
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  if (!(sum > 0)) return std::nullopt;
  return shares;
}

}  // namespace borealis
