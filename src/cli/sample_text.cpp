#include "cli/sample_text.h"

#include <algorithm>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "tokenizer/open_tokenizer.h"
#include "train/text_generation.h"

namespace borealis {
namespace {

constexpr const char* kPrompt = "In the beginning";
constexpr int64_t kSampleTokens = 96;
// A model much larger than this takes minutes for a sample that nobody waits for.
constexpr int64_t kLargestSampledModel = 500'000'000;

// Whether it lies in memory that is there already, or finds room beside it.
bool has_room(const GenerationShape& shape, const RunConfig& config,
              std::span<std::byte> idle_memory, Backend& backend) {
  const int64_t bytes = measure_generation(shape).used_bytes();
  if (bytes <= static_cast<int64_t>(idle_memory.size())) return true;
  const std::optional<int64_t> given = config.machine.memory_limit_bytes;
  if (shape.gpu) {
    const auto [total, free] = backend.device().memory();
    return total - free + bytes < std::min(given.value_or(total), total);
  }
  return resident_bytes() + bytes < memory_limit(given, config.machine.ranks_on_host).bytes;
}

}  // namespace

std::optional<SampleText> sample_text(const RunConfig& config, const ParameterBuffers& parameters,
                                      int threads, std::span<std::byte> idle_memory,
                                      Backend& backend) {
  const auto source = tokenizer_source(config.data);
  // To numbers a prompt of words means nothing; and of sharded weights nobody has all.
  if (parameters.weights_are_sharded() || config.data.mock_data || !source ||
      source->format() == TokenizerFormat::kNumbers ||
      parameters.table->parameter_count() > kLargestSampledModel) {
    return std::nullopt;
  }
  try {
    const Tokenizer tokenizer = open_tokenizer(*source);
    const Prompt prompt = encode_prompt(tokenizer, kPrompt);
    const auto fits = [&](int32_t id) { return id < config.model.vocab_size; };
    if (prompt.empty() || !std::all_of(prompt.begin(), prompt.end(), fits) ||
        static_cast<int64_t>(prompt.size()) >= config.model.max_position_embeddings) {
      return std::nullopt;
    }
    GenerationShape shape = generation_shape(config.model, {&prompt, 1}, kSampleTokens,
                                             /*batch_size=*/1, parameters.dtype, threads);
    if (backend.gpu() != nullptr) shape.gpu = *backend.gpu();
    if (!has_room(shape, config, idle_memory, backend)) return std::nullopt;
    Generator generator(shape, parameters, idle_memory, backend);
    TextGenerationOptions options;
    options.generation.max_new_tokens = kSampleTokens;
    options.generation.sampling.seed = config.seed;
    if (const auto end = tokenizer.end_of_text()) {
      options.generation.stop_tokens.push_back(*end);
    }
    SampleText sample{tokenizer.decode(prompt), ""};
    TextGenerationEvents events;
    events.on_text = [](size_t, std::string_view) {};
    events.on_finish = [&](size_t, const GeneratedText& text) { sample.text = text.text; };
    generate_texts(generator, tokenizer, {&prompt, 1}, options, events);
    return sample;
  } catch (const Error& error) {
    // The run itself is done and saved; a tokenizer that cannot be read costs it only the sample.
    log_warning(fault_text(error));
    return std::nullopt;
  }
}

}  // namespace borealis
