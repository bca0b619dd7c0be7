// The word expressions of GPT-2 and of Llama 3 and its kin, written out by hand: the same words as
// the regular expression gives, many times as fast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/char_classes.h"

namespace borealis {

// The expression of GPT-2's ByteLevel pre-tokenizer.
extern const char* const kGpt2WordPattern;
// That of Llama 3; with \p{N} in place of \p{N}{1,3} it is that of Qwen 2.
extern const char* const kLlama3WordPattern;

class WordScanner {
 public:
  // A scanner for the expression, if it is one of those above.
  static std::optional<WordScanner> for_pattern(const std::string& pattern);

  // End of the word that starts at `begin` < text.size(). Every place starts a word, so words cover
  // the text. The text must be valid UTF-8.
  size_t word_end(std::string_view text, size_t begin) const {
    return digits_per_word_ == 0 ? gpt2_word_end(text, begin) : llama3_word_end(text, begin);
  }

 private:
  struct Char {
    CharClass kind = CharClass::kOther;
    uint32_t length = 0;  // 0: the end of the text
  };
  explicit WordScanner(int digits_per_word) : digits_per_word_(digits_per_word) {}
  Char char_at(std::string_view text, size_t place) const;
  size_t run_end(std::string_view text, size_t place, CharClass kind) const;
  size_t space_run_end(std::string_view text, size_t begin) const;
  size_t gpt2_word_end(std::string_view text, size_t begin) const;
  size_t llama3_word_end(std::string_view text, size_t begin) const;
  size_t llama3_space_end(std::string_view text, size_t begin) const;

  const CharClasses* classes_ = &CharClasses::get();
  int digits_per_word_ = 0;  // 0: GPT-2's expression, which takes any number of them
};

}  // namespace borealis
