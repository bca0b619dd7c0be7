// The tokenizer that travels with a model: tokenizer.json and tokenizer_config.json, without which
// an exported model cannot be tried.
#pragma once

#include <filesystem>

#include "checkpoint/hf_config.h"

namespace borealis {

// Ids of the bos, eos and pad tokens: as tokenizer_config.json beside `tokenizer_json` names them,
// else by the names that vocabularies commonly give them; only tokens listed in added_tokens count.
// Throws Error(kFile) or Error(kData).
SpecialTokens read_special_tokens(const std::filesystem::path& tokenizer_json);

// Copies tokenizer.json, and tokenizer_config.json from beside it or else one that names the
// special tokens, into `folder`.
void copy_tokenizer_files(const std::filesystem::path& tokenizer_json,
                          const std::filesystem::path& folder);

}  // namespace borealis
