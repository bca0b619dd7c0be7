// Finds the added tokens of a tokenizer in a text: leftmost first, the longest of those that start
// at the same place.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer_definition.h"

namespace borealis {

class AddedTokenFinder {
 public:
  // Tokens without content are left out.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // Calls text(std::string_view) for what lies between added tokens, never empty, and token(id) for
  // each of them, in order. The input must be valid UTF-8.
  template <typename Text, typename Token>
  void split(std::string_view input, Text text, Token token) const {
    size_t done = 0;
    for (Match match = find(input, 0); match.token != nullptr; match = find(input, match.end)) {
      if (match.token->single_word && !stands_alone(input, match)) continue;
      const auto [begin, end] = with_white_space(input, match, done);
      if (begin > done) text(input.substr(done, begin - done));
      token(match.token->id);
      // The next token may lie in the white space that this one took, as in the tokenizers library.
      done = end;
    }
    if (done < input.size()) text(input.substr(done));
  }

 private:
  struct Match {
    const AddedToken* token = nullptr;
    size_t begin = 0;
    size_t end = 0;
  };
  // Tries are walked byte by byte from the root, nodes_[0].
  struct Node {
    int32_t token = -1;  // that ends here
    std::vector<std::pair<char, uint32_t>> next;
  };
  Match find(std::string_view input, size_t from) const;
  const AddedToken* longest_at(std::string_view rest) const;
  static bool stands_alone(std::string_view input, const Match& match);
  // What the token covers with the white space that it takes along; nothing before `done`.
  static std::pair<size_t, size_t> with_white_space(std::string_view input, const Match& match,
                                                    size_t done);

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = {{}};
  std::array<bool, 256> starts_token_{};
};

}  // namespace borealis
