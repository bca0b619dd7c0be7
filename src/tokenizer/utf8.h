// UTF-8 (Unicode 15, section 3.9, table 3-7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace borealis {

struct Utf8Sequence {
  enum class Status {
    kValid,
    kInvalid,     // `length` bytes are the longest start of a sequence that cannot go on
    kIncomplete,  // the text ends inside a sequence that is right so far
  };
  Status status = Status::kInvalid;
  size_t length = 0;        // >= 1
  uint32_t code_point = 0;  // if valid
};
// What `text`, which is not empty, starts with.
Utf8Sequence first_utf8_sequence(std::string_view text);

bool is_ascii(std::string_view text);
bool is_valid_utf8(std::string_view text);
size_t valid_utf8_prefix(std::string_view text);  // its bytes; text.size() if all is valid
inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";  // U+FFFD
// Every longest start of an invalid sequence becomes one of it, as Python's errors="replace" and
// Rust's from_utf8_lossy do.
std::string replace_invalid_utf8(std::string_view text);
// How many bytes at the end are an unfinished but so far right sequence: 0 to 3.
size_t incomplete_utf8_tail(std::string_view text);

struct CodePoint {
  uint32_t value = 0;
  uint32_t length = 0;  // bytes
};
// The character that starts at `place` < text.size() of valid text.
inline CodePoint code_point_at(std::string_view text, size_t place) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[place + i]));
  };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (lead < 0xf0) return {(lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f),
          4};
}

void append_utf8(std::string& text, uint32_t code_point);
// The last code point of valid, non-empty text.
uint32_t last_code_point(std::string_view text);
bool is_white_space(uint32_t code_point);  // Unicode property White_Space

}  // namespace borealis
