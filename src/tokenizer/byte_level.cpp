#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr uint32_t kFirstShifted = 0x100;
constexpr size_t kShiftedBytes = 68;

struct Alphabet {
  std::array<uint32_t, 256> code_points{};
  std::array<uint8_t, kFirstShifted + kShiftedBytes> bytes{};
  std::array<bool, kFirstShifted + kShiftedBytes> known{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  uint32_t shifted = kFirstShifted;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    const uint32_t code_point = printable ? byte : shifted++;
    alphabet.code_points[byte] = code_point;
    alphabet.bytes[code_point] = static_cast<uint8_t>(byte);
    alphabet.known[code_point] = true;
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();
static_assert(kAlphabet.code_points[' '] == 0x120 && kAlphabet.known[0x143]);

}  // namespace

uint32_t byte_level_code_point(uint8_t byte) { return kAlphabet.code_points[byte]; }

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes)
    append_utf8(text, byte_level_code_point(static_cast<uint8_t>(byte)));
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    if (sequence.status != Utf8Sequence::Status::kValid ||
        sequence.code_point >= kAlphabet.known.size() || !kAlphabet.known[sequence.code_point]) {
      return std::nullopt;
    }
    bytes += static_cast<char>(kAlphabet.bytes[sequence.code_point]);
    text.remove_prefix(sequence.length);
  }
  return bytes;
}

}  // namespace borealis
