// JSON as text: of documents, and of values in a message to the user.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace borealis {

// A parser takes a NUL for the end of the text, and would pass over what stands behind it: throws
// Error(kData). `name`: of the file.
inline void refuse_nul(std::string_view text, const std::string& name) {
  const size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return;
  throw Error(ErrorKind::kData,
              fmt::format("{} has a NUL at byte {}, which JSON does not have", name, nul),
              "the file is damaged; restore or fetch it again");
}
// As read_text_file, of a file that is JSON.
inline std::string read_json_text(const std::filesystem::path& path) {
  std::string text = read_text_file(path);
  refuse_nul(text, path.string());
  return text;
}

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
