// A byte-level BPE tokenizer as Hugging Face's tokenizer.json describes it (GPT-2, Llama 3, SmolLM,
// those of `borealis tokenizer train`): text to token ids and back, with the ids of the tokenizers
// library. SentencePiece-like models (Gemma, Llama 2) are refused by name.
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
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/word_splitter.h"

namespace borealis {

class Tokenizer {
 public:
  // A tokenizer.json or a folder that has one. Throws Error(kFile), or Error(kData) that names what
  // is damaged or not supported.
  explicit Tokenizer(const std::filesystem::path& path);
  explicit Tokenizer(TokenizerDefinition definition);

  int64_t vocab_size() const;  // highest id + 1, added tokens included
  // The id that ends a document: eos_token of tokenizer_config.json, else the added token
  // <|endoftext|>, <|end_of_text|>, </s> or <eos>.
  std::optional<int32_t> end_of_text() const { return end_of_text_id_; }
  std::optional<int32_t> token_id(std::string_view piece) const;  // as spelled in the file
  bool is_special(int32_t id) const;

  // Added tokens in the text ("<|endoftext|>") become their ids. Thread-safe; to encode many texts
  // keep a TokenEncoder a thread.
  std::vector<int32_t> encode(std::string_view text) const;
  // The same between what the file's post-processor puts around a text (<|begin_of_text|>, say).
  std::vector<int32_t> encode_document(std::string_view text) const;
  // What the ids stand for; bytes that are no UTF-8 become U+FFFD. Ids without a piece (the padding
  // of a model's vocabulary) stand for nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;
  // The bytes of one token, which may be a part of a character.
  std::string_view token_bytes(int32_t id) const;

 private:
  friend class TokenEncoder;
  struct Step {
    std::optional<WordSplitter> splitter;
    bool add_prefix_space = false;
  };
  std::optional<int32_t> find_end_of_text() const;

  TokenizerDefinition definition_;
  std::vector<std::string> bytes_;  // by id
  std::vector<bool> special_;       // by id
  BpeModel model_;
  AddedTokenFinder raw_tokens_;         // searched first
  AddedTokenFinder normalized_tokens_;  // then, in what is left
  std::vector<Step> steps_;
  std::optional<int32_t> end_of_text_id_;
};

// Encodes texts for one thread: remembers the ids of words it has seen. The tokenizer must outlive
// it.
class TokenEncoder {
 public:
  explicit TokenEncoder(const Tokenizer& tokenizer);
  // Append to `ids`; as Tokenizer's functions of the same names.
  void encode(std::string_view text, std::vector<int32_t>& ids);
  void encode_document(std::string_view text, std::vector<int32_t>& ids);

 private:
  struct WordHash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  struct IdRange {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  void encode_text(std::string_view text, size_t step, std::vector<int32_t>& ids);
  void encode_word(std::string_view word, std::vector<int32_t>& ids);

  const Tokenizer& tokenizer_;
  std::vector<WordSplitter::Matcher> matchers_;  // one a step: steps nest
  BpeModel::Scratch scratch_;
  std::unordered_map<std::string, IdRange, WordHash, std::equal_to<>> words_;
  std::vector<int32_t> word_ids_;  // the ranges of words_ point here
};

// Turns ids into text one by one and gives out whole characters only.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string add(int32_t id);  // what can be shown now; often empty inside a character
  std::string finish();         // the rest, U+FFFD for an unfinished character

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace borealis
