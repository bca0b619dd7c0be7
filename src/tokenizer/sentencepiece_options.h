// What surrounds a SentencePiece model: the type of tokenizer and, for Hugging Face's,
// tokenizer_config.json decide on added tokens and on what stands around a document.
#pragma once

#include <filesystem>

#include "config/tokenizer_types.h"
#include "tokenizer/sentencepiece_engine.h"

namespace borealis {

// Throws Error(kFile), or Error(kData) where files are damaged or contradict each other, or the
// model rewrites decoded text (which would need all of it at once).
SentencePieceOptions sentencepiece_options(TokenizerType type, const std::filesystem::path& model);

}  // namespace borealis
