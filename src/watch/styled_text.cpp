#include "watch/styled_text.h"

#include <wchar.h>

#include <algorithm>
#include <cstdint>

#include "base/printable.h"
#include "base/text.h"

namespace borealis {
namespace {

struct Character {
  std::string_view bytes;
  int columns = 1;
};

// That at the front of well-formed UTF-8, which is not empty.
Character first_character(std::string_view text) {
  const auto first = static_cast<uint8_t>(text.front());
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  Character character{text.substr(0, length)};
  if (length == 1) return character;
  uint32_t code = first & (0x7FU >> length);
  for (const char byte : character.bytes.substr(1)) {
    code = code << 6 | (static_cast<uint8_t>(byte) & 0x3FU);
  }
  // Where the locale does not know it, a column is the best guess.
  const int columns = ::wcwidth(static_cast<wchar_t>(code));
  if (columns >= 0) character.columns = columns;
  return character;
}

// The longest beginning that has no more than these columns.
std::string_view beginning(std::string_view text, int columns) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Character character = first_character(text.substr(bytes));
    columns -= character.columns;
    if (columns < 0) break;
    bytes += character.bytes.size();
  }
  return text.substr(0, bytes);
}

std::string blanks(int columns) {
  return std::string(static_cast<size_t>(std::max(columns, 0)), ' ');
}

}  // namespace

int text_columns(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    columns += character.columns;
    text.remove_prefix(character.bytes.size());
  }
  return columns;
}

int line_columns(const StyledLine& line) {
  int columns = 0;
  for (const StyledPart& part : line) columns += text_columns(part.text);
  return columns;
}

std::string plain_text(const StyledLine& line) {
  std::string text;
  for (const StyledPart& part : line) text += part.text;
  return text;
}

std::string_view cut_mark(bool unicode) { return unicode ? "…" : "~"; }

std::string cut_text(std::string_view text, int columns, bool unicode) {
  if (columns <= 0) return "";
  if (text_columns(text) <= columns) return std::string(text);
  return std::string(beginning(text, columns - 1)).append(cut_mark(unicode));
}

std::string cut_name(std::string_view name, int columns, bool unicode) {
  if (columns <= 0) return "";
  if (text_columns(name) <= columns) return std::string(name);
  while (text_columns(name) >= columns) name.remove_prefix(first_character(name).bytes.size());
  return std::string(cut_mark(unicode)).append(name);
}

std::vector<std::string> wrap_text(std::string_view text, int columns) {
  std::vector<std::string> lines;
  while (text_columns(text) > std::max(columns, 1)) {
    std::string_view line = beginning(text, std::max(columns, 1));
    if (line.empty()) break;  // one character of two columns
    const size_t blank = text[line.size()] == ' ' ? line.size() : line.rfind(' ');
    if (blank != std::string_view::npos && blank > 0) line = line.substr(0, blank);
    lines.emplace_back(line);
    text.remove_prefix(line.size());
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  lines.emplace_back(text);
  return lines;
}

StyledLine cut_line(const StyledLine& line, int columns, bool unicode) {
  if (line_columns(line) <= columns) return line;
  StyledLine cut;
  for (const StyledPart& part : line) {
    const int width = text_columns(part.text);
    if (width < columns || (width == columns && &part == &line.back())) {
      cut.push_back(part);
      columns -= width;
      continue;
    }
    // The mark, also where this part would just fit: more follows it.
    if (columns > 0) {
      cut.push_back(
          {std::string(beginning(part.text, columns - 1)).append(cut_mark(unicode)), part.style});
    }
    break;
  }
  return cut;
}

StyledLine fill_line(const StyledLine& line, int columns, bool unicode) {
  StyledLine filled = cut_line(line, columns, unicode);
  const int missing = columns - line_columns(filled);
  if (missing > 0) filled.push_back({blanks(missing), Style::kPlain});
  return filled;
}

std::string left_aligned(std::string_view text, int columns) {
  return std::string(text) + blanks(columns - text_columns(text));
}

std::string right_aligned(std::string_view text, int columns) {
  return blanks(columns - text_columns(text)) + std::string(text);
}

std::string one_line(std::string_view text, bool unicode) {
  std::string line = clean_utf8(text);
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  line = printable(line);
  if (unicode) return line;
  std::string ascii;
  for (const char c : line) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80) ascii += c;
    if (byte >= 0xC0) ascii += '?';  // one for a character, not for each of its bytes
  }
  return ascii;
}

}  // namespace borealis
