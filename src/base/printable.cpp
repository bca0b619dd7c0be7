#include "base/printable.h"

#include <fmt/format.h>

namespace borealis {
namespace {

constexpr size_t kMostBytes = 16384;
constexpr size_t kShownOfLong = 2000;  // at either end

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
}

}  // namespace

std::string printable(std::string_view text) {
  if (text.size() > kMostBytes) {
    return fmt::format("{} [... {} bytes ...] {}", printable(text.substr(0, kShownOfLong)),
                       text.size() - 2 * kShownOfLong,
                       printable(text.substr(text.size() - kShownOfLong)));
  }
  std::string shown;
  shown.reserve(text.size());
  for (const char c : text) {
    if (is_control(c)) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      shown += c;
    }
  }
  return shown;
}

}  // namespace borealis
