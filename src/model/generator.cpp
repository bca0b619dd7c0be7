#include "model/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "base/stopwatch.h"
#include "kernels/cpu/partition.h"
#include "model/cached_decoder.h"

namespace borealis {
namespace {

// Prompts that wait go through the layers together, long ones in pieces: this many rows keep the
// products busy.
constexpr int64_t kPromptRows = 3 * kAttentionPieceRows;
constexpr uint64_t kRandomStream = 0x67656e;  // that of prompt p is p * 2^32 further on

double rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

// A text that grows.
struct Text {
  int32_t sequence = 0;
  size_t prompt = 0;
  int64_t most_tokens = 0;
  RandomStream random;
  SeenTokens seen;
  int64_t tokens = 0;
  int32_t last_token = 0;
  double prompt_tokens_per_second = 0;
  double decode_seconds = 0;
};

}  // namespace

GenerationShape generation_shape(const ModelConfig& model, std::span<const Prompt> prompts,
                                 int64_t max_new_tokens, int64_t batch_size, DType dtype,
                                 int threads) {
  GenerationShape shape{.model = model};
  shape.sequences = std::clamp<int64_t>(batch_size, 1, static_cast<int64_t>(prompts.size()));
  int64_t longest = 0, all = 0;
  for (const Prompt& prompt : prompts) {
    const auto tokens = static_cast<int64_t>(prompt.size());
    longest = std::max(longest, tokens);
    all += tokens;
  }
  CHECK(longest < model.max_position_embeddings);
  shape.capacity = longest + std::min(max_new_tokens, model.max_position_embeddings - longest);
  shape.prompt_rows = std::min(all, kPromptRows);
  shape.longest_prompt = longest;
  shape.mode = product_mode(dtype);
  shape.threads = threads;
  shape.prompts = static_cast<int64_t>(prompts.size());
  return shape;
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kEos:
      return "eos";
  }
  return "";
}

double GenerationTotals::prompt_tokens_per_second() const {
  return rate(prompt_tokens, prompt_seconds);
}
double GenerationTotals::decoded_tokens_per_second() const {
  return rate(decoded_tokens, decode_seconds);
}

struct Generator::State {
  State(const GenerationShape& of, const ParameterBuffers& parameters, std::span<std::byte> memory,
        Backend& backend)
      : shape(of),
        arenas(allocate_generation(of, memory, backend.device())),
        decoder(make_cached_decoder(of, parameters, arenas, backend)),
        sampling(of, arenas) {
    for (int64_t s = of.sequences; s-- > 0;) free.push_back(static_cast<int32_t>(s));
  }

  GenerationShape shape;
  GenerationArenas arenas;
  std::unique_ptr<CachedDecoder> decoder;
  SamplingBuffers sampling;
  std::vector<int32_t> free;  // sequences of no text

  // Of the call of generate() under way:
  std::span<const Prompt> prompts;
  const GenerationOptions* options = nullptr;
  const GenerationEvents* events = nullptr;
  GenerationTotals totals;
  std::vector<Text> alive;
  size_t next_prompt = 0;

  void run() {
    while (next_prompt < prompts.size() || !alive.empty()) {
      if (next_prompt < prompts.size() && !free.empty()) {
        start_texts();
      } else {
        continue_texts();
      }
    }
  }

  // Prompts that fit into one pass and into the free sequences.
  void start_texts() {
    std::vector<Text> started;
    std::vector<SequenceTokens> rows;
    int64_t tokens = 0;
    while (next_prompt < prompts.size() && !free.empty()) {
      const Prompt& prompt = prompts[next_prompt];
      // One that is longer than a pass goes alone.
      if (!rows.empty() && tokens + static_cast<int64_t>(prompt.size()) > shape.prompt_rows) break;
      tokens += static_cast<int64_t>(prompt.size());
      started.push_back(new_text(next_prompt++));
      rows.push_back({started.back().sequence, prompt});
    }
    double seconds = 0;
    {
      const TimedScope timed(seconds);
      decoder->prefill(rows, sampling.logits);
    }
    totals.prompt_tokens += tokens;
    totals.prompt_seconds += 1e-3 * seconds;
    for (Text& text : started) text.prompt_tokens_per_second = rate(tokens, 1e-3 * seconds);
    add_tokens(started);
    alive.insert(alive.end(), started.begin(), started.end());
  }

  // One token more for every text.
  void continue_texts() {
    std::vector<SequenceTokens> rows;
    for (const Text& text : alive) rows.push_back({text.sequence, {&text.last_token, 1}});
    double ms = 0;
    {
      const TimedScope timed(ms);
      decoder->decode(rows, sampling.logits);
    }
    totals.decoded_tokens += static_cast<int64_t>(alive.size());
    totals.decode_seconds += 1e-3 * ms;
    for (Text& text : alive) text.decode_seconds += 1e-3 * ms;
    add_tokens(alive);
  }

  Text new_text(size_t prompt) {
    const int32_t sequence = free.back();
    free.pop_back();
    const int64_t words = SeenTokens::words(shape.model.vocab_size);
    const auto length = static_cast<int64_t>(prompts[prompt].size());
    Text text{
        sequence, prompt, std::min(options->max_new_tokens, shape.capacity - length),
        RandomStream(options->sampling.seed, kRandomStream + (static_cast<uint64_t>(prompt) << 32)),
        SeenTokens(sampling.seen + sequence * shape.capacity,
                   {sampling.is_seen + sequence * words, static_cast<size_t>(words)})};
    for (const int32_t token : prompts[prompt]) text.seen.add(token);
    return text;
  }

  // Draws a token for each text by its row of the logits; texts that end leave `texts`.
  void add_tokens(std::vector<Text>& texts) {
    const int64_t V = shape.model.vocab_size;
    require_finite(texts);
    for_each_row(static_cast<int64_t>(texts.size()), V, [&](int64_t row) {
      Text& text = texts[static_cast<size_t>(row)];
      const auto size = static_cast<size_t>(V);
      text.last_token =
          sample_token({sampling.logits + row * V, size}, text.seen.tokens(), options->sampling,
                       text.random.uniform(static_cast<uint64_t>(text.tokens)),
                       {sampling.candidates + row * V, size});
    });
    std::erase_if(texts, [this](Text& text) {
      const std::optional<FinishReason> reason = take_token(text);
      if (reason) finish(text, *reason);
      return reason.has_value();
    });
  }

  std::optional<FinishReason> take_token(Text& text) {
    const auto& stops = options->stop_tokens;
    if (std::find(stops.begin(), stops.end(), text.last_token) != stops.end()) {
      return FinishReason::kEos;
    }
    ++text.tokens;
    text.seen.add(text.last_token);
    if (!events->on_token(text.prompt, text.last_token)) return FinishReason::kStop;
    if (text.tokens == text.most_tokens) return FinishReason::kLength;
    return std::nullopt;
  }

  void finish(const Text& text, FinishReason reason) {
    free.push_back(text.sequence);
    events->on_finish(text.prompt, {reason, text.prompt_tokens_per_second,
                                    rate(text.tokens - 1, text.decode_seconds)});
  }

  void require_finite(const std::vector<Text>& texts) const {
    const int64_t V = shape.model.vocab_size;
    for (size_t row = 0; row < texts.size(); ++row) {
      const float* logits = sampling.logits + static_cast<int64_t>(row) * V;
      if (std::all_of(logits, logits + V, [](float x) { return std::isfinite(x); })) continue;
      const auto given = static_cast<int64_t>(prompts[texts[row].prompt].size());
      throw Error(
          ErrorKind::kNumerics,
          fmt::format("the logits of {} are not finite for position {} of prompt {}, of "
                      "which {} tokens were given",
                      options->model, given + texts[row].tokens, texts[row].prompt + 1, given),
          "its weights hold NaN or infinity, or overflow: try --dtype fp32, or an earlier "
          "checkpoint");
    }
  }
};

Generator::Generator(const GenerationShape& shape, const ParameterBuffers& parameters,
                     std::span<std::byte> memory, Backend& backend)
    : state_(std::make_unique<State>(shape, parameters, memory, backend)) {}

Generator::~Generator() = default;

GenerationTotals Generator::generate(std::span<const Prompt> prompts,
                                     const GenerationOptions& options,
                                     const GenerationEvents& events) {
  State& state = *state_;
  CHECK(state.alive.empty(), "an earlier call did not end");
  state.prompts = prompts;
  state.options = &options;
  state.events = &events;
  state.totals = {};
  state.next_prompt = 0;
  state.run();
  return state.totals;
}

}  // namespace borealis
