#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace borealis {
namespace {

constexpr size_t kMostPrinted = 16384;
constexpr size_t kShownOfLong = 2000;  // at either end

// Of the bytes at `at`, how many are a character that is not to be written as it is; 0: none.
size_t control_bytes(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (text[at] == '\n') {
    const char next = at + 1 < text.size() ? text[at + 1] : ' ';
    return next == ' ' || next == '-' ? 0 : 1;
  }
  if ((byte < 0x20 && text[at] != '\t') || byte == 0x7f) return 1;
  if (byte != 0xc2 || at + 1 >= text.size()) return 0;
  const auto second = static_cast<unsigned char>(text[at + 1]);  // U+0080 to U+009F
  return second >= 0x80 && second < 0xa0 ? 2 : 0;
}

}  // namespace

std::string printable(std::string_view text) {
  if (text.size() > kMostPrinted) {
    return fmt::format("{} [... {} bytes ...] {}", printable(text.substr(0, kShownOfLong)),
                       text.size() - 2 * kShownOfLong,
                       printable(text.substr(text.size() - kShownOfLong)));
  }
  std::string shown;
  shown.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t control = control_bytes(text, at);
    const auto last = static_cast<unsigned char>(text[at + (control == 2 ? 1 : 0)]);
    if (control == 0) shown += text[at];
    if (control == 1) shown += text[at] == '\n' ? "\\n" : fmt::format("\\x{:02x}", last);
    if (control == 2) shown += fmt::format("\\u00{:02x}", last);
    at += std::max<size_t>(1, control);
  }
  return shown;
}

}  // namespace borealis
