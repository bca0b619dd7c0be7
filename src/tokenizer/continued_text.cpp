#include "tokenizer/continued_text.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace borealis {

// A decoder that has seen the prompt knows that the next piece does not begin a text, whose first
// space some tokenizers drop. What it still holds of the prompt's own text comes first.
ContinuedText::ContinuedText(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                             std::vector<std::string> stop_strings)
    : decoder_(tokenizer), stop_(std::move(stop_strings)) {
  for (const int32_t id : prompt) start_ += decoder_.add(id);
  const std::string whole = tokenizer.decode(prompt);
  CHECK(whole.starts_with(start_));
  prompt_rest_ = whole.substr(start_.size());
}

ContinuedText::Piece ContinuedText::add(int32_t id) { return new_piece(decoder_.add(id)); }

ContinuedText::Piece ContinuedText::finish() {
  Piece piece = new_piece(decoder_.finish());
  piece.text += stop_.finish();
  return piece;
}

ContinuedText::Piece ContinuedText::new_piece(const std::string& decoded) {
  const size_t bytes = std::min(prompt_rest_.size(), decoded.size());
  if (decoded.compare(0, bytes, prompt_rest_, 0, bytes) != 0) {
    // The prompt ended inside a character, which is whole only now.
    prompt_rest_.clear();
    return {"", stop_.add(decoded)};
  }
  prompt_rest_.erase(0, bytes);
  return {decoded.substr(0, bytes), stop_.add(std::string_view(decoded).substr(bytes))};
}

}  // namespace borealis
