// The tokenizer that travels with a model, without which an exported model cannot be tried: its
// files under the names that Hugging Face reads, and a tokenizer_config.json.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/hf_config.h"
#include "config/tokenizer_types.h"

namespace borealis {

// Ids of the bos, eos and pad tokens. Of a tokenizer.json: as tokenizer_config.json beside it names
// them, else by the names that vocabularies commonly give them; only tokens listed in added_tokens
// count. Of the other types: those that the type means. Throws Error(kFile) or Error(kData).
SpecialTokens read_special_tokens(const TokenizerSource& source);

// One that a model's folder gets: a copy of `from`, or, where that is empty, the text.
struct TokenizerFile {
  std::string name;
  std::filesystem::path from;
  std::string text;
};
// tokenizer.json, tokenizer.model, or vocab.json and merges.txt, and tokenizer_config.json from
// beside it, or else one that names the special tokens. Where the type and not that file decides
// what stands around a document, the copy says so: opened by its files alone, the folder is the
// tokenizer that the model was trained with.
std::vector<TokenizerFile> tokenizer_files(const TokenizerSource& source);
void copy_tokenizer_files(const TokenizerSource& source, const std::filesystem::path& folder);

}  // namespace borealis
