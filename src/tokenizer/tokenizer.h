// Text to token ids and back, the same for every kind of tokenizer (tokenizer_engine.h): byte-level
// BPE as Hugging Face's tokenizer.json describes it (GPT-2, Llama 3, SmolLM, those of `borealis
// tokenizer train`), with the ids of the tokenizers library.
//
// Texts that are not UTF-8 are repaired first: each longest start of an invalid sequence becomes
// one U+FFFD, as Python's errors="replace" does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/tokenizer_engine.h"

namespace borealis {

// Where a tokenizer comes from.
struct TokenizerOrigin {
  std::string kind;                          // "tokenizer.json"; empty: made in memory
  std::vector<std::filesystem::path> files;  // that define its ids, in a fixed order
};

class Tokenizer {
 public:
  // A tokenizer.json or a folder that has one. Throws Error(kFile), or Error(kData) that names what
  // is damaged or not supported.
  explicit Tokenizer(const std::filesystem::path& path);
  explicit Tokenizer(TokenizerDefinition definition);
  Tokenizer(std::unique_ptr<const TokenizerEngine> engine, TokenizerOrigin origin);

  const TokenizerOrigin& origin() const { return origin_; }
  int64_t vocab_size() const { return engine_->vocab_size(); }  // highest id + 1
  // The id that ends a document. Of a tokenizer.json: eos_token of tokenizer_config.json, else the
  // added token <|endoftext|>, <|end_of_text|>, </s> or <eos>.
  std::optional<int32_t> end_of_text() const { return engine_->end_of_text(); }
  // Of a piece as spelled in the file.
  std::optional<int32_t> token_id(std::string_view piece) const { return engine_->token_id(piece); }
  bool is_special(int32_t id) const { return engine_->is_special(id); }
  // What encode_document() puts around a text.
  std::span<const int32_t> document_prefix() const { return engine_->document_prefix(); }
  std::span<const int32_t> document_suffix() const { return engine_->document_suffix(); }

  // Added tokens in the text ("<|endoftext|>") become their ids. Thread-safe; to encode many texts
  // keep a TokenEncoder a thread.
  std::vector<int32_t> encode(std::string_view text) const;
  // The same between document_prefix() and document_suffix() (<|begin_of_text|>, say).
  std::vector<int32_t> encode_document(std::string_view text) const;
  // What the ids stand for; bytes that are no UTF-8 become U+FFFD. Ids without a piece (the padding
  // of a model's vocabulary) stand for nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

 private:
  friend class TokenEncoder;
  friend class StreamDecoder;
  std::unique_ptr<const TokenizerEngine> engine_;
  TokenizerOrigin origin_;
};

// Encodes texts for one thread. The tokenizer must outlive it.
class TokenEncoder {
 public:
  explicit TokenEncoder(const Tokenizer& tokenizer);
  // Append to `ids`; as Tokenizer's functions of the same names.
  void encode(std::string_view text, std::vector<int32_t>& ids);
  void encode_document(std::string_view text, std::vector<int32_t>& ids);

 private:
  const TokenizerEngine& engine_;
  std::unique_ptr<TextEncoder> encoder_;
};

// Turns ids into text one by one and gives out whole characters only. The tokenizer must outlive
// it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : decoder_(tokenizer.engine_->make_decoder(skip_special)) {}
  std::string add(int32_t id) { return decoder_->add(id); }  // what can be shown now; often empty
  std::string finish() { return decoder_->finish(); }  // the rest, U+FFFD for what is unfinished

 private:
  std::unique_ptr<TextDecoder> decoder_;
};

}  // namespace borealis
