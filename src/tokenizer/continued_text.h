// What a prompt's text grows by, as token by token comes, up to a stop string.
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
  std::string add(int32_t id);  // what can be shown now: whole characters, none of a stop string
  std::string finish();         // the rest, U+FFFD for what is unfinished
  bool stopped() const { return stop_.stopped(); }

 private:
  std::string new_text(const std::string& decoded);

  StreamDecoder decoder_;
  StopText stop_;
  std::string prompt_rest_;  // text of the prompt that the decoder has not given out yet
};

}  // namespace borealis
