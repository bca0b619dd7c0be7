// Finds the files of the tokenizer that a user names, and how large its vocabulary is. Nothing is
// downloaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config_loader.h"
#include "config/tokenizer_types.h"

namespace borealis {

struct TokenizerRequest {
  TokenizerType type = TokenizerType::kHuggingFace;
  std::string model = {};  // a file, a folder, or a name in the Hugging Face cache
  // Of GPT-2's: its two files, or a folder with them (DATA_PARENT).
  std::string vocab_file = {};
  std::string merge_file = {};
  std::string data_parent = {};
  int64_t size = 0;  // of NullTokenizer, > 0
};

struct TokenizerLookup {
  std::optional<TokenizerSource> source;  // none: it was not found
  // Enough for every id that the tokenizer gives, also of tokens that were added behind its base
  // entries. Where no file was found: known from the name, or none.
  std::optional<int64_t> vocab_size;
  int64_t base_vocab_size = 0;     // without those; 0 where no file was found
  std::vector<std::string> tried;  // every place that was looked at
};

// Relative paths are tried from the working directory, then from `home` (may be empty); then the
// name is looked for in the Hugging Face cache. In a folder the type's own files count: for
// HFTokenizer tokenizer.json, else tokenizer.model, else vocab.json with merges.txt. Throws
// Error(kData) where a file is found that is not what its name promises, and Error(kFile) where
// the cache has several snapshots and nothing chooses one.
TokenizerLookup find_tokenizer(const TokenizerRequest& request, const std::string& home,
                               const Environment& environment);

// Vocabulary sizes of well-known tokenizers by repository name, in any spelling of case.
std::optional<int64_t> known_vocab_size(const std::string& repository);

}  // namespace borealis
