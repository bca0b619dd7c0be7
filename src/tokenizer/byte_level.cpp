#include "tokenizer/byte_level.h"

#include <array>
#include <unordered_map>

namespace borealis {
namespace {

bool printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::string utf8_of(uint32_t code) {  // below U+0800
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

struct Alphabet {
  std::array<std::string, 256> characters;
  std::unordered_map<std::string, char> bytes;
  Alphabet() {
    uint32_t next = 0x100;  // bytes that do not print take the characters from here on
    for (int byte = 0; byte < 256; ++byte) {
      const uint32_t code = printable(byte) ? static_cast<uint32_t>(byte) : next++;
      characters[static_cast<size_t>(byte)] = utf8_of(code);
      bytes[characters[static_cast<size_t>(byte)]] = static_cast<char>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

// Bytes of the well-formed character at the start of `text` (Unicode 15, table 3-7); 0 if none.
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string byte_level_character(uint8_t byte) { return alphabet().characters[byte]; }

std::string byte_level_of_bytes(std::string_view bytes) {
  std::string piece;
  for (const char byte : bytes) piece += alphabet().characters[static_cast<uint8_t>(byte)];
  return piece;
}

std::optional<std::string> bytes_of_byte_level(std::string_view piece) {
  std::string bytes;
  for (size_t at = 0; at < piece.size();) {
    const size_t length = character_length(piece.substr(at));
    if (length == 0) return std::nullopt;
    const auto found = alphabet().bytes.find(std::string(piece.substr(at, length)));
    if (found == alphabet().bytes.end()) return std::nullopt;
    bytes += found->second;
    at += length;
  }
  return bytes;
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text.substr(at));
    if (length == 0) {
      valid += "\xEF\xBF\xBD";
      ++at;
    } else {
      valid.append(text.substr(at, length));
      at += length;
    }
  }
  return valid;
}

size_t complete_utf8_prefix(std::string_view text) {
  // Only the last three bytes can begin a character that is not finished.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto lead = static_cast<uint8_t>(text[text.size() - back]);
    if ((lead & 0xC0) == 0x80) continue;
    const size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return wanted > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace borealis
