// Text to a Megatron data set: every document is encoded on some thread and written in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "data/indexed_dataset.h"
#include "tokenizer/documents.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

struct TokenizeOutput {
  std::filesystem::path output_prefix;
  bool append_end = true;  // the end-of-text token, which counts towards the document's length
  int threads = 1;
};

struct TokenizedCorpus {
  int64_t documents = 0;
  int64_t empty_documents = 0;  // encode to nothing; left out
  int64_t tokens = 0;
  int64_t vocab_size = 0;
  TokenType type = TokenType::kU16;
  std::optional<int32_t> end_token = std::nullopt;  // that was appended
};

// Documents get the special tokens that the tokenizer's own file puts around a text. The files
// appear only when all is written. Throws Error(kConfig) if append_end is wanted of a tokenizer
// without an end-of-text token, and whatever reading, encoding and writing throw. Progress in
// bytes.
TokenizedCorpus tokenize_documents(const DocumentFiles& files, const Tokenizer& tokenizer,
                                   const TokenizeOutput& output,
                                   const std::function<void(int64_t, int64_t)>& progress);

}  // namespace borealis
