// What words are cut by: letters (Unicode's general category L), numbers (N), white space, and
// everything else, with the Unicode version of the tokenizers library's regular expressions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace borealis {

enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace };

class CharClasses {
 public:
  static const CharClasses& get();
  CharClass of_ascii(unsigned char byte) const { return blocks_[byte]; }  // < 128
  CharClass of(uint32_t code_point) const {
    const size_t block = code_point >> kBlockBits;
    if (block >= block_of_.size()) return CharClass::kOther;
    return blocks_[(size_t{block_of_[block]} << kBlockBits) | (code_point & (kBlockSize - 1))];
  }

 private:
  static constexpr int kBlockBits = 7;
  static constexpr size_t kBlockSize = size_t{1} << kBlockBits;
  CharClasses();

  std::vector<CharClass> blocks_;   // different blocks of 128 code points, ASCII first
  std::vector<uint16_t> block_of_;  // of each 128 code points
};

// \w of the regular expressions of Rust, in which the tokenizers library is written.
bool is_word_character(uint32_t code_point);

}  // namespace borealis
