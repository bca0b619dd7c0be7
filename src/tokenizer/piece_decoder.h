// The decoder of a tokenizer.json, token by token: what it gives out as soon as it is certain is,
// in all, what the tokenizers library makes of the whole list.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer_definition.h"

namespace borealis {

// One step: takes tokens and hands them, changed, to the step after it. After a fusing step the
// pieces that arrive are parts of a single token.
class DecoderStage {
 public:
  virtual ~DecoderStage() = default;
  virtual void add(std::string_view text) = 0;
  virtual void finish() = 0;  // the end of the tokens; the stage is as new then
};

class PieceDecoder {
 public:
  explicit PieceDecoder(const std::vector<DecoderStep>& steps);
  // The next token as the vocabulary spells it; gives what can be shown now.
  std::string add(std::string_view token);
  // The rest of the text. Another one may follow.
  std::string finish();

 private:
  std::unique_ptr<std::string> text_;                  // what the last stage has given
  std::vector<std::unique_ptr<DecoderStage>> stages_;  // last one first
};

}  // namespace borealis
