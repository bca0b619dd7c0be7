// Cuts text into words by a pattern, as the pre-tokenizers of a tokenizer.json do: by a regular
// expression (PCRE2, or word_scanner.h for those it knows), or by a fixed text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/utf8.h"
#include "tokenizer/word_scanner.h"

namespace borealis {

// A tokenizer.json is written for Oniguruma; this gives PCRE2's spelling of the same expression:
// Unicode White_Space for \s (PCRE2's has U+180E too), \x{..} for \u.... Throws Error(kData) naming
// a construct that the two engines understand differently.
std::string pcre2_pattern(const std::string& oniguruma_pattern);

class WordSplitter {
 public:
  // Throws Error(kData) if the expression (Oniguruma's spelling) cannot be used.
  explicit WordSplitter(const std::string& pattern,
                        SplitBehavior behavior = SplitBehavior::kIsolated, bool invert = false,
                        bool literal = false);
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

  // Calls word(std::string_view) for each word of `text`, which must be valid UTF-8; never empty.
  template <typename Word>
  void split(std::string_view text, Matcher& matcher, Word word) const {
    if (scanner_) {
      for (size_t begin = 0; begin < text.size();) {
        const size_t end = scanner_->word_end(text, begin);
        word(text.substr(begin, end - begin));
        begin = end;
      }
      return;
    }
    Joiner joiner(behavior_);
    const auto give = [&word](std::string_view whole) {
      if (!whole.empty()) word(whole);
    };
    for_each_segment(text, matcher, [&](std::string_view segment, bool is_match) {
      joiner.add(segment, is_match != invert_, give);
    });
    joiner.finish(give);
  }

  // Calls segment(std::string_view, bool is_match) for the matches, which may be empty, and for
  // what lies between them, in order.
  template <typename Segment>
  void for_each_segment(std::string_view text, Matcher& matcher, Segment segment) const {
    size_t done = 0;
    size_t from = 0;
    size_t last_end = text.size() + 1;
    while (from <= text.size()) {
      const std::optional<Match> match = find(text, from, matcher);
      if (!match) break;
      const bool empty = match->begin == match->end;
      // Nothing directly after a match is no match of its own.
      if (!empty || match->end != last_end) {
        if (match->begin > done) segment(text.substr(done, match->begin - done), false);
        segment(text.substr(match->begin, match->end - match->begin), true);
        done = last_end = match->end;
      }
      from = match->end;
      if (empty) from += from < text.size() ? code_point_at(text, from).length : 1;
    }
    if (done < text.size()) segment(text.substr(done), false);
  }

 private:
  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };
  // Puts segments of a text together as the behavior says. Segments adjoin.
  class Joiner {
   public:
    explicit Joiner(SplitBehavior behavior) : behavior_(behavior) {}
    template <typename Give>
    void add(std::string_view segment, bool is_match, Give give) {
      if (behavior_ == SplitBehavior::kRemoved) {
        if (!is_match) give(segment);
      } else if (waits_ && joins(is_match)) {
        waiting_ = {waiting_.data(), waiting_.size() + segment.size()};
        was_match_ = is_match;
      } else {
        finish(give);
        waiting_ = segment;
        waits_ = true;
        was_match_ = is_match;
      }
    }
    template <typename Give>
    void finish(Give give) {
      if (waits_) give(waiting_);
      waits_ = false;
    }

   private:
    bool joins(bool is_match) const {
      if (behavior_ == SplitBehavior::kMergedWithPrevious) return is_match && !was_match_;
      if (behavior_ == SplitBehavior::kMergedWithNext) return !is_match && was_match_;
      return behavior_ == SplitBehavior::kContiguous && is_match == was_match_;
    }

    SplitBehavior behavior_;
    std::string_view waiting_;
    bool waits_ = false;
    bool was_match_ = false;
  };
  // The first match from there on.
  std::optional<Match> find(std::string_view text, size_t from, Matcher& matcher) const;
  std::optional<Match> find_expression(std::string_view text, size_t from, Matcher& matcher) const;

  struct Code;
  std::unique_ptr<Code> code_;  // none for a fixed text
  std::string literal_;
  std::optional<WordScanner> scanner_;  // in place of code_ if matches are the words
  SplitBehavior behavior_ = SplitBehavior::kIsolated;
  bool invert_ = false;
};

}  // namespace borealis
