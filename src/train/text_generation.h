// Continues prompts of text: tokens from the generator, text from the tokenizer, ended by strings.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/generator.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

// What a model is given to continue: the tokens that lead a document, then those of the text.
Prompt encode_prompt(const Tokenizer& tokenizer, std::string_view text);

struct TextGenerationOptions {
  GenerationOptions generation;
  std::vector<std::string> stop_strings;  // the text ends in front of the first of them
};

struct GeneratedText {
  std::vector<int32_t> tokens;  // those of a stop string among them, the one that ends a text not
  std::string text;             // of the tokens: what the prompt's text grows by
  FinishedText finished;
};

struct TextGenerationEvents {
  // A piece of whole characters; none of a stop string. May be empty. All pieces of a prompt are
  // what the tokenizer makes of its ids and the new ones together; the first comes with the first
  // token or, of a single prompt, before it is computed.
  std::function<void(size_t prompt, std::string_view piece)> on_text;
  std::function<void(size_t prompt, GeneratedText text)> on_finish;
};

// As Generator::generate.
GenerationTotals generate_texts(Generator& generator, const Tokenizer& tokenizer,
                                std::span<const Prompt> prompts,
                                const TextGenerationOptions& options,
                                const TextGenerationEvents& events);

}  // namespace borealis
