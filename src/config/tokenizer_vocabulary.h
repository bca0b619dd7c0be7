// How many entries a tokenizer's vocabulary has, without opening the tokenizer.
#pragma once

#include <cstdint>

#include "config/tokenizer_types.h"

namespace borealis {

struct TokenizerVocabulary {
  int64_t size = 0;               // entries; tokens added to a vocabulary afterwards do not count
  int64_t largest_added_id = -1;  // among those; may lie beyond
};

// Throws Error(kFile), or Error(kData) where the file is not what the source says.
TokenizerVocabulary tokenizer_vocabulary(const TokenizerSource& source);

}  // namespace borealis
