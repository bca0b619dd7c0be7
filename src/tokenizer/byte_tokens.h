// The byte tokens <0x00> ... <0xFF> of SentencePiece-like tokenizers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

std::string byte_token(uint8_t byte);  // "<0x0A>"
// The byte of a token that is decoded as one; as in the tokenizers library, hexadecimal digits of
// either case or one digit after a plus sign.
std::optional<uint8_t> byte_of_token(std::string_view token);

}  // namespace borealis
