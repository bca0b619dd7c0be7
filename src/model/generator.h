// Continues a text with a decoder: one pass over the prompt, then a token at a time against a cache
// of keys and values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "config/run_config.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

struct SamplingOptions {
  int64_t max_new_tokens = 128;
  double temperature = 0.8;  // 0: always the most likely token
  int64_t top_k = 40;        // 0: no limit
  double top_p = 1.0;        // smallest set of likely tokens with this much probability
  uint64_t seed = 1234;
  std::vector<int32_t> stop_tokens;  // ends the text, not part of it
};

class Generator {
 public:
  // The cache holds `capacity` positions: prompt and continuation together.
  Generator(const ModelConfig& model, const ParameterBuffers& parameters, int64_t capacity);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Calls on_token with each new token. The prompt must have at least one token and leave room in
  // the cache; the text ends where the cache does.
  void generate(std::span<const int32_t> prompt, const SamplingOptions& options,
                const std::function<void(int32_t)>& on_token);

  // logits [V] for what follows `token` at the next position; the cache then holds it.
  std::span<const float> next_logits(int32_t token);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One token of the distribution softmax(logits / temperature), cut by top_k and top_p. `uniform` in
// (0, 1) decides.
int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double uniform);

}  // namespace borealis
