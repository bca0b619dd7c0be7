// What a prompt's text grows by, as token by token comes, up to a stop string. All pieces together,
// start() first, are what the tokenizer makes of the prompt's ids and the new ones in one list,
// which is not always the prompt as it was typed, nor its text with that of the new ids behind.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

class ContinuedText {
 public:
  // The tokenizer must outlive it. stop_strings as StopText's.
  ContinuedText(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                std::vector<std::string> stop_strings);
  struct Piece {
    std::string of_prompt;  // text of the prompt that a later id could have changed until now
    std::string text;       // what follows the prompt: whole characters, none of a stop string
  };
  // The prompt's text, as far as no id that follows can change it.
  const std::string& start() const { return start_; }
  Piece add(int32_t id);  // what can be shown now
  Piece finish();         // the rest, U+FFFD for what is unfinished
  bool stopped() const { return stop_.stopped(); }

 private:
  Piece new_piece(const std::string& decoded);

  StreamDecoder decoder_;
  StopText stop_;
  std::string start_;
  std::string prompt_rest_;  // text of the prompt that the decoder has not given out yet
};

}  // namespace borealis
