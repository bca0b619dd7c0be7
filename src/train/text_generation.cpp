#include "train/text_generation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tokenizer/stop_text.h"

namespace borealis {
namespace {

// One text on its way from tokens to what is shown.
class TextInProgress {
 public:
  // A decoder that has seen the prompt knows whether the next piece begins with a space. What it
  // still holds of the prompt's own text comes first and is left out.
  TextInProgress(const Tokenizer& tokenizer, const Prompt& prompt,
                 const std::vector<std::string>& stop_strings)
      : decoder_(tokenizer), stop_(stop_strings), prompt_bytes_(tokenizer.decode(prompt).size()) {
    for (const int32_t token : prompt) new_text(decoder_.add(token));
  }

  std::string add(int32_t token) {
    result_.tokens.push_back(token);
    return show(stop_.add(new_text(decoder_.add(token))));
  }
  std::string finish() {
    std::string shown = show(stop_.add(new_text(decoder_.finish())));
    return shown + show(stop_.finish());
  }
  bool stopped() const { return stop_.stopped(); }
  GeneratedText take(const FinishedText& finished) {
    result_.finished = finished;
    return std::move(result_);
  }

 private:
  std::string_view new_text(const std::string& decoded) {
    const size_t of_prompt = std::min(prompt_bytes_, decoded.size());
    prompt_bytes_ -= of_prompt;
    decoded_ = decoded.substr(of_prompt);
    return decoded_;
  }
  std::string show(std::string text) {
    result_.text += text;
    return text;
  }

  StreamDecoder decoder_;
  StopText stop_;
  size_t prompt_bytes_;  // of the prompt's text that the decoder has not given out yet
  std::string decoded_;
  GeneratedText result_;
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
  const auto text_of = [&](size_t prompt) -> TextInProgress& {
    return texts.try_emplace(prompt, tokenizer, prompts[prompt], options.stop_strings)
        .first->second;
  };
  GenerationEvents on;
  on.on_token = [&](size_t prompt, int32_t token) {
    TextInProgress& text = text_of(prompt);
    events.on_text(prompt, text.add(token));
    return !text.stopped();
  };
  on.on_finish = [&](size_t prompt, const FinishedText& finished) {
    TextInProgress& text = text_of(prompt);
    events.on_text(prompt, text.finish());
    FinishedText result = finished;
    if (text.stopped()) result.reason = FinishReason::kStop;  // the last characters complete one
    events.on_finish(prompt, text.take(result));
    texts.erase(prompt);
  };
  return generator.generate(prompts, options.generation, on);
}

}  // namespace borealis
