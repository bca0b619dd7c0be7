#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace borealis {

std::string format_bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (std::abs(value) >= 0.995 * kGiB) return fmt::format("{:.2f} GiB", value / kGiB);
  if (std::abs(value) >= kMiB) return fmt::format("{:.1f} MiB", value / kMiB);
  if (std::abs(value) >= 1024) return fmt::format("{:.1f} KiB", value / 1024);
  return fmt::format("{} B", bytes);
}

std::string format_count(int64_t count) {
  std::string digits = std::to_string(count);
  const int first = count < 0 ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), 1, ' ');  // g++ 12 warns of the form with text
  }
  return digits;
}

std::string format_duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  constexpr double kYear = 365.25 * 86400;
  if (seconds >= 1000 * kYear) return fmt::format("{:.3g} years", seconds / kYear);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 48 * 3600) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} days {} h", whole / 86400, whole % 86400 / 3600);
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || value < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  static constexpr std::array<std::pair<std::string_view, double>, 14> kUnits = {{
      {"", 1.0},
      {"B", 1.0},
      {"K", 0x1p10},
      {"M", 0x1p20},
      {"G", 0x1p30},
      {"KiB", 0x1p10},
      {"MiB", 0x1p20},
      {"GiB", 0x1p30},
      {"TiB", 0x1p40},
      {"KB", 1e3},
      {"MB", 1e6},
      {"GB", 1e9},
      {"TB", 1e12},
      {"T", 0x1p40},
  }};
  for (const auto& [name, factor] : kUnits) {
    if (unit == name) {
      const double bytes = value * factor;
      // "1.5" was meant to have a unit.
      if (!(bytes < 0x1p62) || (factor == 1 && bytes != std::floor(bytes))) return std::nullopt;
      return static_cast<int64_t>(bytes);
    }
  }
  return std::nullopt;
}

}  // namespace borealis
