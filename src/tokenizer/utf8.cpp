#include "tokenizer/utf8.h"

#include <simdjson.h>

#include <algorithm>

#include "base/check.h"

namespace borealis {
namespace {

constexpr bool is_continuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// Continuation bytes after a lead byte, and the range of the first of them, which is what rules out
// overlong forms, surrogates and numbers beyond U+10FFFF.
struct LeadByte {
  int continuations = -1;  // -1: not a lead byte
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
};

constexpr LeadByte lead_byte(unsigned char byte) {
  if (byte < 0x80) return {0};
  if (byte < 0xc2) return {};
  if (byte < 0xe0) return {1};
  if (byte == 0xe0) return {2, 0xa0, 0xbf};
  if (byte == 0xed) return {2, 0x80, 0x9f};
  if (byte < 0xf0) return {2};
  if (byte == 0xf0) return {3, 0x90, 0xbf};
  if (byte < 0xf4) return {3};
  if (byte == 0xf4) return {3, 0x80, 0x8f};
  return {};
}

// Length of the ASCII prefix, eight bytes at a time.
size_t ascii_prefix(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::copy_n(text.data() + i, 8, reinterpret_cast<char*>(&word));
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace

Utf8Sequence first_utf8_sequence(std::string_view text) {
  CHECK(!text.empty());
  const auto first = static_cast<unsigned char>(text[0]);
  const LeadByte lead = lead_byte(first);
  if (lead.continuations < 0) return {Utf8Sequence::Status::kInvalid, 1};
  if (lead.continuations == 0) return {Utf8Sequence::Status::kValid, 1, first};
  uint32_t code_point = first & (0x3fu >> lead.continuations);
  for (size_t i = 1; i <= static_cast<size_t>(lead.continuations); ++i) {
    if (i == text.size()) return {Utf8Sequence::Status::kIncomplete, i};
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : is_continuation(byte);
    if (!fits) return {Utf8Sequence::Status::kInvalid, i};
    code_point = (code_point << 6) | (byte & 0x3fu);
  }
  return {Utf8Sequence::Status::kValid, static_cast<size_t>(lead.continuations) + 1, code_point};
}

bool is_ascii(std::string_view text) { return ascii_prefix(text) == text.size(); }

bool is_valid_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

size_t valid_utf8_prefix(std::string_view text) {
  if (is_valid_utf8(text)) return text.size();
  size_t place = 0;
  for (;;) {
    const Utf8Sequence sequence = first_utf8_sequence(text.substr(place));
    if (sequence.status != Utf8Sequence::Status::kValid) return place;
    place += sequence.length;
  }
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    const bool valid = sequence.status == Utf8Sequence::Status::kValid;
    out += valid ? text.substr(0, sequence.length) : kReplacementCharacter;
    text.remove_prefix(sequence.length);
  }
  return out;
}

size_t incomplete_utf8_tail(std::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(3, text.size()); ++length) {
    const std::string_view tail = text.substr(text.size() - length);
    if (is_continuation(static_cast<unsigned char>(tail[0]))) continue;
    const Utf8Sequence sequence = first_utf8_sequence(tail);
    return sequence.status == Utf8Sequence::Status::kIncomplete ? length : 0;
  }
  return 0;
}

void append_utf8(std::string& text, uint32_t code_point) {
  const auto put = [&text](uint32_t byte) { text += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3f));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

uint32_t last_code_point(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && is_continuation(static_cast<unsigned char>(text[start]))) --start;
  return first_utf8_sequence(text.substr(start)).code_point;
}

bool is_white_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

}  // namespace borealis
