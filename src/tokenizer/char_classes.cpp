#include "tokenizer/char_classes.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "tokenizer/unicode_properties.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

#include "tokenizer/unicode_ranges.inc"

constexpr uint32_t kEnd = 0x33000;  // beyond are neither letters nor numbers nor white space

}  // namespace

const CharClasses& CharClasses::get() {
  static const CharClasses kClasses;
  return kClasses;
}

bool is_word_character(uint32_t code_point) {
  const auto above =
      std::ranges::upper_bound(kWordCharacters, code_point, {}, &CodePointRange::first);
  return above != std::begin(kWordCharacters) && code_point <= (above - 1)->last;
}

CharClasses::CharClasses() {
  std::vector<CharClass> all(kEnd, CharClass::kOther);
  const auto fill = [&all](const auto& ranges, CharClass own) {
    for (const CodePointRange& range : ranges) {
      for (uint32_t c = range.first; c <= range.last; ++c) all.at(c) = own;
    }
  };
  fill(kLetters, CharClass::kLetter);
  fill(kNumbers, CharClass::kNumber);
  for (uint32_t c = 0; c < 0x3001; ++c) {
    if (is_white_space(c)) all[c] = CharClass::kSpace;
  }
  std::map<std::vector<CharClass>, uint16_t> known;
  for (size_t begin = 0; begin < all.size(); begin += kBlockSize) {
    const std::vector<CharClass> block(
        all.begin() + static_cast<std::ptrdiff_t>(begin),
        all.begin() + static_cast<std::ptrdiff_t>(begin + kBlockSize));
    const auto [entry, is_new] = known.emplace(block, static_cast<uint16_t>(known.size()));
    if (is_new) blocks_.insert(blocks_.end(), block.begin(), block.end());
    block_of_.push_back(entry->second);
  }
}

}  // namespace borealis
