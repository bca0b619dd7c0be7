#include "tokenizer/open_tokenizer.h"

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "tokenizer/bpe_engine.h"
#include "tokenizer/gpt2_files.h"
#include "tokenizer/number_engine.h"
#include "tokenizer/sentencepiece_options.h"

namespace borealis {

Tokenizer open_tokenizer(const TokenizerSource& source) {
  const std::filesystem::path path = source.path;
  switch (source.format()) {
    case TokenizerFormat::kNumbers:
      return {std::make_unique<NumberEngine>(source.size), {.kind = "numbers", .files = {}}};
    case TokenizerFormat::kGpt2: {
      const bool find_end = source.type == TokenizerType::kHuggingFace;
      return {std::make_unique<BpeEngine>(read_gpt2_files(path, source.merges, find_end)),
              {.kind = "vocab.json and merges.txt", .files = {path, source.merges}}};
    }
    case TokenizerFormat::kSentencePiece:
      return {std::make_unique<SentencePieceEngine>(path, sentencepiece_options(source.type, path)),
              {.kind = "SentencePiece", .files = {path}}};
    case TokenizerFormat::kJson:
      break;
  }
  return Tokenizer(path);
}

}  // namespace borealis
