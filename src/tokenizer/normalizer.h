// What a tokenizer.json does to a text before it is cut into words: replacements, a prefix, Unicode
// normal forms.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/word_splitter.h"

namespace borealis {

class Normalizer {
 public:
  // Throws Error(kData) for an expression that cannot be used.
  explicit Normalizer(const std::vector<NormalizerStep>& steps);

  // Working memory of one thread.
  struct Buffers {
    std::string text;
    std::string next;
    WordSplitter::Matcher matcher;
  };
  // The normalized text, which lives in `buffers` or, where nothing changes, is `text` itself. The
  // text must be valid UTF-8.
  std::string_view apply(std::string_view text, Buffers& buffers) const;

 private:
  struct Step {
    NormalizerStep definition;
    std::optional<WordSplitter> expression;
  };
  std::vector<Step> steps_;
};

}  // namespace borealis
