// The prompts of `generate`.
#pragma once

#include <string>
#include <vector>

namespace borealis {

struct PromptText {
  std::string text;
  std::string place;  // "--prompt", "prompt 3 of prompts.txt"; for messages
};

// One a line, or, where the name ends in .jsonl, one a JSON object under the key "prompt". "-" is
// standard input, of lines. Throws Error(kFile), and Error(kData) naming file and line for what is
// no prompt, or if there is none.
std::vector<PromptText> read_prompts(const std::string& file);

}  // namespace borealis
