// GPT-2's printable alphabet for bytes: 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF stand for themselves,
// the other 68 bytes in ascending order for U+0100, U+0101, ... (space is U+0120).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

uint32_t byte_level_code_point(uint8_t byte);
std::string to_byte_level(std::string_view bytes);
// The bytes that a text in the alphabet stands for; nullopt if it has any other character.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace borealis
