#include "tokenizer/continued_text.h"

#include <algorithm>
#include <utility>

namespace borealis {

// A decoder that has seen the prompt knows that the next piece does not begin a text, whose first
// space some tokenizers drop. What it still holds of the prompt's own text comes first.
ContinuedText::ContinuedText(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                             std::vector<std::string> stop_strings)
    : decoder_(tokenizer), stop_(std::move(stop_strings)), prompt_rest_(tokenizer.decode(prompt)) {
  for (const int32_t id : prompt) new_text(decoder_.add(id));
}

std::string ContinuedText::add(int32_t id) { return stop_.add(new_text(decoder_.add(id))); }

std::string ContinuedText::finish() {
  const std::string shown = stop_.add(new_text(decoder_.finish()));
  return shown + stop_.finish();
}

std::string ContinuedText::new_text(const std::string& decoded) {
  const size_t bytes = std::min(prompt_rest_.size(), decoded.size());
  if (decoded.compare(0, bytes, prompt_rest_, 0, bytes) != 0) {
    // The prompt ended inside a character, which is whole only now.
    prompt_rest_.clear();
    return decoded;
  }
  prompt_rest_.erase(0, bytes);
  return decoded.substr(bytes);
}

}  // namespace borealis
