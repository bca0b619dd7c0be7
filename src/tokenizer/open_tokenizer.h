// The one place where a tokenizer of any kind is opened.
#pragma once

#include "config/tokenizer_types.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

// find_tokenizer() (config/tokenizer_lookup.h) makes the source from what a user names. Documents
// are encoded as the reference's wrapper of the type does it; docs/tokenizer-types.md has the
// table. Throws Error(kFile), or Error(kData) naming what is damaged, not supported, or
// contradictory.
Tokenizer open_tokenizer(const TokenizerSource& source);

}  // namespace borealis
