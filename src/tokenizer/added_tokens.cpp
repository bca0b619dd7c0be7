#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "tokenizer/utf8.h"
#include "tokenizer/word_splitter.h"

namespace borealis {
namespace {

// Letters, marks, digits and connectors, which is the regular expressions' \w but for a few
// characters such as circled letters.
bool is_word_character(uint32_t code_point) {
  static const WordSplitter kWord("[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]{2}");
  std::string twice;
  append_utf8(twice, code_point);
  append_utf8(twice, code_point);
  WordSplitter::Matcher matcher;
  // A match takes both characters as one word; otherwise the whole text is one gap.
  bool matches = false;
  kWord.split(twice + "!", matcher, [&](std::string_view word) { matches |= word == twice; });
  return matches;
}

bool stands_alone(std::string_view input, size_t begin, size_t end) {
  const bool word_before = begin > 0 && is_word_character(last_code_point(input.substr(0, begin)));
  const bool word_after =
      end < input.size() && is_word_character(first_utf8_sequence(input.substr(end)).code_point);
  return !word_before && !word_after;
}

size_t skip_space_left(std::string_view input, size_t begin, size_t limit) {
  while (begin > limit) {
    const uint32_t previous = last_code_point(input.substr(limit, begin - limit));
    if (!is_white_space(previous)) break;
    std::string encoded;
    append_utf8(encoded, previous);
    begin -= encoded.size();
  }
  return begin;
}

size_t skip_space_right(std::string_view input, size_t end) {
  while (end < input.size()) {
    const Utf8Sequence next = first_utf8_sequence(input.substr(end));
    if (!is_white_space(next.code_point)) break;
    end += next.length;
  }
  return end;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::ranges::stable_sort(tokens_, std::greater(),
                           [](const AddedToken& token) { return token.content.size(); });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    by_first_byte_[static_cast<uint8_t>(tokens_[i].content[0])].push_back(static_cast<uint32_t>(i));
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view rest) const {
  for (const uint32_t index : by_first_byte_[static_cast<uint8_t>(rest[0])]) {
    if (rest.starts_with(tokens_[index].content)) return &tokens_[index];
  }
  return nullptr;
}

AddedTokenFinder::Found AddedTokenFinder::find(std::string_view input, size_t from) const {
  if (tokens_.empty()) return {};
  for (size_t begin = from; begin < input.size();) {
    const AddedToken* token = longest_at(input.substr(begin));
    if (token == nullptr) {
      ++begin;
      continue;
    }
    const size_t end = begin + token->content.size();
    if (token->single_word && !stands_alone(input, begin, end)) {
      begin = end;  // no other token may start inside it
      continue;
    }
    return {token, token->lstrip ? skip_space_left(input, begin, from) : begin,
            token->rstrip ? skip_space_right(input, end) : end};
  }
  return {};
}

}  // namespace borealis
