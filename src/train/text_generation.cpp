#include "train/text_generation.h"

#include <map>
#include <utility>

#include "tokenizer/continued_text.h"

namespace borealis {
namespace {

// A text that grows, and what has been shown of it.
struct TextInProgress {
  ContinuedText text;
  GeneratedText result;

  std::string take(const ContinuedText::Piece& piece) {
    result.text += piece.text;
    return piece.of_prompt + piece.text;
  }
};

}  // namespace

Prompt encode_prompt(const Tokenizer& tokenizer, std::string_view text) {
  const auto prefix = tokenizer.document_prefix();
  Prompt prompt(prefix.begin(), prefix.end());
  TokenEncoder(tokenizer).encode(text, prompt);
  return prompt;
}

GenerationTotals generate_texts(Generator& generator, const Tokenizer& tokenizer,
                                std::span<const Prompt> prompts,
                                const TextGenerationOptions& options,
                                const TextGenerationEvents& events) {
  std::map<size_t, TextInProgress> texts;
  const auto at = [&](size_t prompt) -> TextInProgress& {
    const auto found = texts.find(prompt);
    if (found != texts.end()) return found->second;
    ContinuedText text(tokenizer, prompts[prompt], options.stop_strings);
    events.on_text(prompt, text.start());
    return texts.emplace(prompt, TextInProgress{std::move(text), {}}).first->second;
  };
  GenerationEvents on;
  on.on_token = [&](size_t prompt, int32_t token) {
    TextInProgress& growing = at(prompt);
    growing.result.tokens.push_back(token);
    events.on_text(prompt, growing.take(growing.text.add(token)));
    return !growing.text.stopped();
  };
  on.on_finish = [&](size_t prompt, const FinishedText& finished) {
    TextInProgress& growing = at(prompt);
    events.on_text(prompt, growing.take(growing.text.finish()));
    growing.result.finished = finished;
    // The last characters, of a token that a limit ended with, can complete a stop string too.
    if (growing.text.stopped()) growing.result.finished.reason = FinishReason::kStop;
    events.on_finish(prompt, std::move(growing.result));
    texts.erase(prompt);
  };
  if (prompts.size() == 1) at(0);
  return generator.generate(prompts, options.generation, on);
}

}  // namespace borealis
