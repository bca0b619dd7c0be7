// The normalizer, the pre-tokenizer, the post-processor and the decoder of a tokenizer.json.
#pragma once

#include <optional>

#include "tokenizer/json_file.h"
#include "tokenizer/tokenizer_definition.h"

namespace borealis {

// Each fills its part of the definition from a part of the file, which may be absent, and refuses
// by name what is not supported: Error(kData).
using PipelinePart = std::optional<JsonFile::Element>;
void read_normalizer(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition);
// Sets byte_level, too. Read after the model.
void read_pre_tokenizer(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition);
void read_post_processor(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition);
void read_decoder(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition);

}  // namespace borealis
