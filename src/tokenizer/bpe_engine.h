// The byte-level BPE tokenizer of a TokenizerDefinition: added tokens are found in a text, what
// lies between them is cut into words, and words are encoded by BpeModel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/tokenizer_engine.h"
#include "tokenizer/word_splitter.h"

namespace borealis {

class BpeEngine final : public TokenizerEngine {
 public:
  explicit BpeEngine(TokenizerDefinition definition);

  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_.size()); }
  std::optional<int32_t> end_of_text() const override { return end_of_text_id_; }
  std::optional<int32_t> token_id(std::string_view piece) const override;
  bool is_special(int32_t id) const override;
  std::span<const int32_t> document_prefix() const override { return definition_.prefix_ids; }
  std::span<const int32_t> document_suffix() const override { return definition_.suffix_ids; }
  std::unique_ptr<TextEncoder> make_encoder() const override;
  std::unique_ptr<TextDecoder> make_decoder(bool skip_special) const override;

 private:
  class Encoder;
  class Decoder;
  struct Step {
    std::optional<WordSplitter> splitter;
    bool add_prefix_space = false;
  };
  std::optional<int32_t> find_end_of_text() const;
  // The bytes of one token, which may be a part of a character; none for ids without a piece.
  std::string_view token_bytes(int32_t id) const;

  TokenizerDefinition definition_;
  std::vector<std::string> bytes_;  // by id
  std::vector<bool> special_;       // by id
  BpeModel model_;
  AddedTokenFinder raw_tokens_;         // searched first
  AddedTokenFinder normalized_tokens_;  // then, in what is left
  std::vector<Step> steps_;
  std::optional<int32_t> end_of_text_id_;
};

}  // namespace borealis
