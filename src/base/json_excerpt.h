// JSON as text: of documents, and of values in a message to the user.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

namespace borealis {

// The document's text; what is not UTF-8 (a file's name may hold any bytes) becomes U+FFFD.
// indent: of a level; -1: one line.
template <typename Json>
std::string json_text(const Json& document, int indent = -1) {
  return document.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// The value's text, cut where it is long. Lists and objects in others are not shown: files from
// outside may nest them so deeply that writing them out would overflow the stack.
template <typename Json>
std::string json_excerpt(const Json& value) {
  constexpr size_t kMostBytes = 120;
  const auto is_structured = [](const Json& child) { return child.is_structured(); };
  if (value.is_structured() && std::any_of(value.begin(), value.end(), is_structured)) {
    return value.is_array() ? "[...]" : "{...}";
  }
  const std::string text = json_text(value);
  if (text.size() <= kMostBytes) return text;
  size_t end = kMostBytes;
  while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // within a character
  return text.substr(0, end) + "...";
}

}  // namespace borealis
