// The BPE tokenizer of a TokenizerDefinition: added tokens are found in a text, what lies between
// them is normalized and cut into words, and words are encoded by BpeModel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/tokenizer_engine.h"
#include "tokenizer/word_splitter.h"

namespace borealis {

class BpeEngine final : public TokenizerEngine {
 public:
  // Throws Error(kData) for an expression that cannot be used.
  explicit BpeEngine(TokenizerDefinition definition);

  int64_t vocab_size() const override { return static_cast<int64_t>(definition_.pieces.size()); }
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
    WordStep definition;
    std::optional<WordSplitter> splitter;
  };
  std::optional<int32_t> find_end_of_text() const;
  std::vector<AddedToken> normalized_tokens() const;
  void find_decoded_names();
  // What one id is to the decoder; nothing for ids without a piece.
  std::string_view decoded_name(int32_t id) const;

  TokenizerDefinition definition_;
  std::vector<bool> special_;  // by id
  std::vector<bool> skipped_;  // by id: nothing, without special tokens
  std::unordered_map<int32_t, std::string> decoded_names_;  // where that is not the piece
  BpeModel model_;
  Normalizer normalizer_;
  AddedTokenFinder raw_tokens_;         // searched first
  AddedTokenFinder normalized_tokens_;  // then, in what is left
  std::vector<Step> steps_;
  std::optional<int32_t> end_of_text_id_;
};

}  // namespace borealis
