// Whether a run goes on with the tokenizer that it began with.
#pragma once

#include <filesystem>
#include <optional>

#include "config/tokenizer_types.h"

namespace borealis {

// Whether the tokenizer's files are, byte for byte, those that a model's folder holds; none where
// it holds no tokenizer. A vocabulary of the same size says nothing: it is padded. Throws
// Error(kFile).
std::optional<bool> is_tokenizer_of(const TokenizerSource& tokenizer,
                                    const std::filesystem::path& model_folder);

}  // namespace borealis
