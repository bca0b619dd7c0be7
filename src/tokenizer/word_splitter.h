// Cuts text into words by a regular expression, as the pre-tokenizers of a tokenizer.json do: every
// match is a word, and so is what lies between two matches ("Isolated"), unless gaps are dropped.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace borealis {

// The expression of GPT-2's ByteLevel pre-tokenizer.
extern const char* const kGpt2WordPattern;

// A tokenizer.json is written for Oniguruma; this gives PCRE2's spelling of the same expression:
// Unicode White_Space for \s (PCRE2's has U+180E too), \x{..} for \u.... Throws Error(kData) naming
// a construct that the two engines understand differently.
std::string pcre2_pattern(const std::string& oniguruma_pattern);

class WordSplitter {
 public:
  // Throws Error(kData) if the expression (Oniguruma's spelling) cannot be used.
  explicit WordSplitter(const std::string& pattern, bool drop_gaps = false);
  ~WordSplitter();
  WordSplitter(WordSplitter&&) noexcept;
  WordSplitter& operator=(WordSplitter&&) noexcept;

  // Working memory of one thread.
  class Matcher {
   public:
    Matcher();
    ~Matcher();
    Matcher(Matcher&&) noexcept;
    Matcher& operator=(Matcher&&) noexcept;

   private:
    friend class WordSplitter;
    struct State;
    std::unique_ptr<State> state_;
  };

  // Calls word(std::string_view) for each word of `text`, which must be valid UTF-8.
  template <typename Word>
  void split(std::string_view text, Matcher& matcher, Word word) const {
    size_t done = 0;
    for (size_t from = 0; from < text.size();) {
      const Match match = find(text, from, matcher);
      if (match.end == match.begin) break;
      if (match.begin > done && !drop_gaps_) word(text.substr(done, match.begin - done));
      word(text.substr(match.begin, match.end - match.begin));
      done = from = match.end;
    }
    if (done < text.size() && !drop_gaps_) word(text.substr(done));
  }

 private:
  struct Match {
    size_t begin = 0;  // begin == end: there is none
    size_t end = 0;
  };
  // The first match that is not empty.
  Match find(std::string_view text, size_t from, Matcher& matcher) const;

  struct Code;
  std::unique_ptr<Code> code_;
  bool drop_gaps_ = false;
};

}  // namespace borealis
