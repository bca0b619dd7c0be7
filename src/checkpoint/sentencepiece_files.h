// What goes with a SentencePiece model into a folder that Hugging Face reads.
#pragma once

#include <nlohmann/json.hpp>

#include "config/hf_config.h"
#include "config/tokenizer_types.h"

namespace borealis {

// Throw Error(kFile), or Error(kData) if the model or the tokenizer_config.json beside it is
// damaged.
SpecialTokens sentencepiece_special_tokens(const TokenizerSource& source);

// The tokenizer_config.json beside the model with what the type decides put in; of HFTokenizer as
// it is. Without one: Hugging Face's plain class, which takes a model of any algorithm (Llama's own
// class reads unigram models as if they were BPE).
nlohmann::ordered_json sentencepiece_config(const TokenizerSource& source);

}  // namespace borealis
