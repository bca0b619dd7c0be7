// Finds the added tokens of a tokenizer in a text: leftmost first, the longest of those that start
// at the same place.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer_definition.h"

namespace borealis {

class AddedTokenFinder {
 public:
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // Calls text(std::string_view) for what lies between added tokens, never empty, and token(id) for
  // each of them, in order. The input must be valid UTF-8.
  template <typename Text, typename Token>
  void split(std::string_view input, Text text, Token token) const {
    size_t done = 0;
    while (done < input.size()) {
      const Found found = find(input, done);
      if (found.token == nullptr) break;
      if (found.begin > done) text(input.substr(done, found.begin - done));
      token(found.token->id);
      done = found.end;
    }
    if (done < input.size()) text(input.substr(done));
  }

 private:
  struct Found {
    const AddedToken* token = nullptr;
    size_t begin = 0;  // white space that the token takes along included
    size_t end = 0;
  };
  Found find(std::string_view input, size_t from) const;
  const AddedToken* longest_at(std::string_view rest) const;

  std::vector<AddedToken> tokens_;                        // longest first
  std::array<std::vector<uint32_t>, 256> by_first_byte_;  // indices into tokens_, longest first
};

}  // namespace borealis
