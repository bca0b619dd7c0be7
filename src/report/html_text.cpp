#include "report/html_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace borealis {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed UTF-8 character at the front (Unicode 15, table 3-7), 0 if none.
size_t character_length(std::string_view text) {
  const auto byte = [text](size_t at) -> uint8_t {
    return at < text.size() ? static_cast<uint8_t>(text[at]) : 0;
  };
  const auto follows = [&byte](size_t at, uint8_t low = 0x80, uint8_t high = 0xBF) {
    return byte(at) >= low && byte(at) <= high;
  };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const uint8_t low = first == 0xE0 ? 0xA0 : 0x80;
    const uint8_t high = first == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const uint8_t low = first == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

bool is_bad_control(char byte) {
  const auto code = static_cast<uint8_t>(byte);
  return (code < 0x20 && byte != '\n' && byte != '\t') || code == 0x7F;
}

}  // namespace

std::string clean_utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (length == 0 || is_bad_control(text.front())) {
      clean += kReplacement;
      text.remove_prefix(1);
    } else {
      clean += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return clean;
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char byte : clean_utf8(text)) {
    switch (byte) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += byte;
    }
  }
  return escaped;
}

std::string escape_markdown_cell(std::string_view text) {
  std::string escaped;
  for (const char byte : clean_utf8(text)) {
    if (byte == '\n' || byte == '\t') {
      escaped += ' ';
    } else if (byte == '<') {
      escaped += "&lt;";
    } else {
      if (std::string_view("\\|`*_[]").find(byte) != std::string_view::npos) escaped += '\\';
      escaped += byte;
    }
  }
  return escaped;
}

std::string markdown_fence(std::string_view text, std::string_view language) {
  const std::string clean = clean_utf8(text);
  size_t longest = 0;
  size_t run = 0;
  for (const char byte : clean) {
    run = byte == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(std::max<size_t>(3, longest + 1), '`');
  const char* newline = clean.ends_with('\n') ? "" : "\n";
  return fmt::format("{}{}\n{}{}{}\n", fence, language, clean, newline, fence);
}

}  // namespace borealis
