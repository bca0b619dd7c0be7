#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tokenizer/char_classes.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

size_t skip_space_left(std::string_view input, size_t begin) {
  while (begin > 0) {
    const uint32_t previous = last_code_point(input.substr(0, begin));
    if (!is_white_space(previous)) break;
    std::string encoded;
    append_utf8(encoded, previous);
    begin -= encoded.size();
  }
  return begin;
}

size_t skip_space_right(std::string_view input, size_t end) {
  while (end < input.size()) {
    const CodePoint next = code_point_at(input, end);
    if (!is_white_space(next.value)) break;
    end += next.length;
  }
  return end;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    size_t node = 0;
    for (const char byte : tokens_[i].content) {
      const auto& next = nodes_[node].next;
      const auto known = std::ranges::find(next, byte, &std::pair<char, uint32_t>::first);
      if (known != next.end()) {
        node = known->second;
      } else {
        nodes_[node].next.emplace_back(byte, static_cast<uint32_t>(nodes_.size()));
        node = nodes_.size();
        nodes_.emplace_back();
      }
    }
    if (nodes_[node].token < 0) nodes_[node].token = static_cast<int32_t>(i);
    starts_token_[static_cast<uint8_t>(tokens_[i].content[0])] = true;
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view rest) const {
  const AddedToken* longest = nullptr;
  const Node* node = &nodes_[0];
  for (const char byte : rest) {
    const auto next = std::ranges::find(node->next, byte, &std::pair<char, uint32_t>::first);
    if (next == node->next.end()) break;
    node = &nodes_[next->second];
    if (node->token >= 0) longest = &tokens_[static_cast<size_t>(node->token)];
  }
  return longest;
}

AddedTokenFinder::Match AddedTokenFinder::find(std::string_view input, size_t from) const {
  if (tokens_.empty()) return {};
  for (size_t begin = from; begin < input.size(); ++begin) {
    if (!starts_token_[static_cast<uint8_t>(input[begin])]) continue;
    const AddedToken* token = longest_at(input.substr(begin));
    if (token != nullptr) return {token, begin, begin + token->content.size()};
  }
  return {};
}

bool AddedTokenFinder::stands_alone(std::string_view input, const Match& match) {
  const std::string_view before = input.substr(0, match.begin);
  return (before.empty() || !is_word_character(last_code_point(before))) &&
         (match.end == input.size() || !is_word_character(code_point_at(input, match.end).value));
}

std::pair<size_t, size_t> AddedTokenFinder::with_white_space(std::string_view input,
                                                             const Match& match, size_t done) {
  return {match.token->lstrip ? std::max(done, skip_space_left(input, match.begin)) : match.begin,
          match.token->rstrip ? skip_space_right(input, match.end) : match.end};
}

}  // namespace borealis
