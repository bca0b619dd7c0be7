// Continues texts with a decoder: some at a time, each with a stream of random numbers of its own,
// so that a text depends on its seed and its place among the prompts, not on its neighbours (but
// for the last bits of products, whose shapes change with the number of rows).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"
#include "model/generation_buffers.h"
#include "model/sampler.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

using Prompt = std::vector<int32_t>;  // at least one token

// For at most `batch_size` of these prompts at a time, none of them longer than the model's
// positions less one: room to go on.
GenerationShape generation_shape(const ModelConfig& model, std::span<const Prompt> prompts,
                                 int64_t max_new_tokens, int64_t batch_size, DType dtype,
                                 int threads);

struct GenerationOptions {
  int64_t max_new_tokens = 128;      // fewer where the model's positions end before
  std::vector<int32_t> stop_tokens;  // each ends a text and is no part of it
  SamplingOptions sampling;
  std::string model = "the model";  // for messages
};

enum class FinishReason { kStop, kLength, kEos };
std::string_view finish_reason_name(FinishReason reason);  // "stop", "length", "eos"

// Rates are those of a text's own passes, which it shares with other texts.
struct FinishedText {
  FinishReason reason = FinishReason::kLength;
  double prompt_tokens_per_second = 0;
  double tokens_per_second = 0;  // of those behind its first token, which comes out of the prompt's
                                 // pass; 0 if there are none
};

struct GenerationEvents {
  std::function<bool(size_t prompt, int32_t token)> on_token;  // false: the text ends here (kStop)
  std::function<void(size_t prompt, const FinishedText&)> on_finish;
};

// Of all texts together; a text's first token comes out of its prompt's pass.
struct GenerationTotals {
  int64_t prompt_tokens = 0;
  double prompt_seconds = 0;
  int64_t decoded_tokens = 0;
  double decode_seconds = 0;

  double prompt_tokens_per_second() const;
  double decoded_tokens_per_second() const;
};

class Generator {
 public:
  // On the backend that shape and parameters are of. memory: what plan_generation_memory counts
  // lies there where it is large enough, and must outlive this; else in pages of its own.
  Generator(const GenerationShape& shape, const ParameterBuffers& parameters,
            std::span<std::byte> memory = {}, Backend& backend = cpu_backend());
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Prompts are those of the shape. When a text ends the next prompt takes its place. Throws
  // Error(kNumerics) if logits are not finite, and what the events throw.
  GenerationTotals generate(std::span<const Prompt> prompts, const GenerationOptions& options,
                            const GenerationEvents& events);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace borealis
