// GPT-2's tokenizer in two files: vocab.json, pieces to ids, and merges.txt, a merge a line by
// rank.
#pragma once

#include <filesystem>

#include "tokenizer/tokenizer_definition.h"

namespace borealis {

// The tokenizer that a tokenizer.json with these pieces and merges and a ByteLevel pre-tokenizer
// means. <|endoftext|> ends a document. With `find_end_of_text` it also gets its id where it is
// spelled out in a text, as with Hugging Face; Megatron's GPT2BPETokenizer takes it apart like any
// other text. Throws Error(kFile), or Error(kData) naming file and line of what is malformed.
TokenizerDefinition read_gpt2_files(const std::filesystem::path& vocab,
                                    const std::filesystem::path& merges, bool find_end_of_text);

}  // namespace borealis
