// The byte-level alphabet of GPT-2: every byte has a printable character in tokenizer files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

std::string byte_level_character(uint8_t byte);  // UTF-8 of the character that stands for it
// "Ġthe" -> " the"; nothing if a character stands for no byte.
std::optional<std::string> bytes_of_byte_level(std::string_view piece);
std::string byte_level_of_bytes(std::string_view bytes);

// Valid UTF-8 comes back as it is; each byte that is no part of any is replaced by U+FFFD.
std::string valid_utf8(std::string_view text);
// Length of the longest prefix that does not end within a character.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace borealis
