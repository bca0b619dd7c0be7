// Finds the tokenizer that TOKENIZER_MODEL means, and how large its vocabulary is. Nothing is
// downloaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config_loader.h"

namespace borealis {

struct TokenizerLookup {
  std::string path;  // the tokenizer.json; empty where it was not found
  // Entries of the base model's vocabulary; tokens added to it afterwards do not count. Where the
  // file was not found: known from the name, or none.
  std::optional<int64_t> vocab_size;
  int64_t largest_added_id = -1;   // among the added tokens; may lie beyond vocab_size
  std::vector<std::string> tried;  // every place that was looked at
};

// `model` is a file, a folder that holds a tokenizer.json, or a name in the Hugging Face cache, in
// this order; relative paths are tried from the working directory, then from `home` (may be empty).
// Throws Error(kData) where a file is found that is no tokenizer.json.
TokenizerLookup find_tokenizer(const std::string& model, const std::string& home,
                               const Environment& environment);

// Vocabulary sizes of well-known tokenizers by repository name, in any spelling of case.
std::optional<int64_t> known_vocab_size(const std::string& repository);

}  // namespace borealis
