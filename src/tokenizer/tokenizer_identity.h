// What tells one tokenizer from another: kept beside tokenized data, so that a model is not trained
// with another tokenizer than the one that made its data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace borealis {

struct TokenizerIdentity {
  std::string kind;    // Tokenizer::origin()'s
  std::string sha256;  // hex, of the files that define it, one after the other; empty: no files
  int64_t vocab_size = 0;
  std::optional<int32_t> end_token;
  std::vector<int32_t> document_prefix;  // what stands around every document, the end token apart
  std::vector<int32_t> document_suffix;

  bool operator==(const TokenizerIdentity&) const = default;
};

// Reads the tokenizer's files (Gemma's has 17 MB: 0.1 s). Throws Error(kFile).
TokenizerIdentity tokenizer_identity(const Tokenizer& tokenizer);

// Of the contents of the files as one, as `cat FILES | sha256sum` prints it.
std::string sha256_hex(const std::vector<std::filesystem::path>& files);

}  // namespace borealis
