#include "report/html_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace borealis {

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
