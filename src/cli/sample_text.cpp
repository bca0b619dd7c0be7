#include "cli/sample_text.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "model/generator.h"
#include "tokenizer/open_tokenizer.h"

namespace borealis {
namespace {

constexpr const char* kPrompt = "In the beginning";
constexpr int64_t kSampleTokens = 96;
// A model much larger than this takes minutes for a sample that nobody waits for.
constexpr int64_t kLargestSampledModel = 500'000'000;

}  // namespace

std::optional<SampleText> sample_text(const RunConfig& config, const ParameterBuffers& parameters) {
  const auto source = tokenizer_source(config.data);
  // To numbers a prompt of words means nothing.
  if (config.data.mock_data || !source || source->format() == TokenizerFormat::kNumbers ||
      parameters.table->parameter_count() > kLargestSampledModel) {
    return std::nullopt;
  }
  try {
    const Tokenizer tokenizer = open_tokenizer(*source);
    const std::vector<int32_t> prompt = tokenizer.encode_document(kPrompt);
    const auto fits = [&](int32_t id) { return id < config.model.vocab_size; };
    if (prompt.empty() || !std::all_of(prompt.begin(), prompt.end(), fits)) return std::nullopt;
    Generator generator(config.model, parameters,
                        static_cast<int64_t>(prompt.size()) + kSampleTokens);
    SamplingOptions options;
    options.max_new_tokens = kSampleTokens;
    options.seed = config.seed;
    if (const auto end = tokenizer.end_of_text()) options.stop_tokens.push_back(*end);
    SampleText sample{kPrompt, ""};
    StreamDecoder decoder(tokenizer);
    generator.generate(prompt, options, [&](int32_t id) { sample.text += decoder.add(id); });
    sample.text += decoder.finish();
    return sample;
  } catch (const Error& error) {
    // The run itself is done and saved; a tokenizer that cannot be read costs it only the sample.
    log_warning(error.what());
    return std::nullopt;
  }
}

}  // namespace borealis
