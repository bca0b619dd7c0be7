// The kinds of tokenizers that TOKENIZER_TYPE names, and what it takes to open one
// (tokenizer/open_tokenizer.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/run_config.h"

namespace borealis {

enum class TokenizerType {
  kHuggingFace,       // HFTokenizer: what the files are, as Hugging Face reads them
  kGpt2,              // GPT2BPETokenizer: vocab.json and merges.txt
  kGptSentencePiece,  // GPTSentencePieceTokenizer: a .model, nothing around a document
  kSentencePiece,     // SentencePieceTokenizer: a .model, and tokens of Megatron's own after it
  kLlama2,            // Llama2Tokenizer: a .model, bos before a document
  kNull,              // NullTokenizer: the text is numbers
};

// Names are exact, but any other one that starts with "gpt" or "GPT" means GPT-2's, as in the
// reference's script. None for a name that is not supported.
std::optional<TokenizerType> parse_tokenizer_type(std::string_view name);
std::string_view tokenizer_type_name(TokenizerType type);
std::string supported_tokenizer_types();  // "HFTokenizer, GPT2BPETokenizer, ..."

enum class TokenizerFormat { kJson, kSentencePiece, kGpt2, kNumbers };

struct TokenizerSource {
  TokenizerType type = TokenizerType::kHuggingFace;
  std::string path = {};    // tokenizer.json, the .model or vocab.json; empty for numbers
  std::string merges = {};  // merges.txt of a vocab.json
  int64_t size = 0;         // of NullTokenizer: ids below it are text, it itself ends a document

  TokenizerFormat format() const;  // of the files
  bool operator==(const TokenizerSource&) const = default;
};

// NullTokenizer's sizes are below this: ids are 32-bit numbers.
constexpr int64_t kLargestNullVocabulary = (int64_t{1} << 31) - 1;

// What a run opens; none where its tokenizer was not found.
std::optional<TokenizerSource> tokenizer_source(const DataConfig& config);

}  // namespace borealis
