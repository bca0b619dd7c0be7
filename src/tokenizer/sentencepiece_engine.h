// A SentencePiece model (unigram or BPE), encoded by its own library. Decoding gives the library's
// text, piece by piece: the first space of a text may belong to the tokenizer, and bytes of a run
// of byte pieces that are no UTF-8 become one U+FFFD each.
#pragma once

#include <sentencepiece_processor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/tokenizer_engine.h"

namespace borealis {

struct SentencePieceOptions {
  // Searched in a text first; what lies between them is encoded as texts of their own. Their ids
  // are the model's where they are pieces of it, else they come after it.
  std::vector<AddedToken> added_tokens;
  std::vector<int32_t> document_prefix;
  std::vector<int32_t> document_suffix;
  std::optional<int32_t> end_of_text;
  // Texts are encoded in parts of so many bytes and a word, where their ids are those of the parts.
  size_t part_bytes = size_t{1} << 20;
};

class SentencePieceEngine final : public TokenizerEngine {
 public:
  // Throws Error(kFile), or Error(kData) for a file that the library does not take.
  SentencePieceEngine(const std::filesystem::path& model, SentencePieceOptions options);

  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int32_t> end_of_text() const override { return options_.end_of_text; }
  std::optional<int32_t> token_id(std::string_view piece) const override;
  bool is_special(int32_t id) const override;
  std::span<const int32_t> document_prefix() const override { return options_.document_prefix; }
  std::span<const int32_t> document_suffix() const override { return options_.document_suffix; }
  std::unique_ptr<TextEncoder> make_encoder() const override;
  std::unique_ptr<TextDecoder> make_decoder(bool skip_special) const override;

 private:
  class Encoder;
  class Decoder;
  bool is_piece(int32_t id) const { return id >= 0 && id < processor_.GetPieceSize(); }
  const AddedToken* added_token(int32_t id) const;  // null: there is none
  std::string piece_text(int32_t id) const;         // away from the start of a text
  bool may_cut_at_spaces(const std::vector<std::string>& pieces) const;

  sentencepiece::SentencePieceProcessor processor_;
  SentencePieceOptions options_;
  AddedTokenFinder finder_;
  int64_t vocab_size_ = 0;
  bool cuts_at_spaces_ = false;  // a text's ids are those of its halves around a space
  std::string unknown_text_;     // what the library decodes the unknown piece to
};

}  // namespace borealis
