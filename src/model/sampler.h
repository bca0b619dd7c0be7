// Draws the next token of a text. The order of what changes the distribution is that of Hugging
// Face's generate(): repetition penalty, temperature, top-k, top-p, min-p.
//   repetition penalty p: logits of tokens that are in the text already, its prompt included, are
//     divided by p where they are positive and multiplied by it where they are negative (Keskar et
//     al., "CTRL", 2019);
//   temperature: logits are divided by it;
//   top-k: what is less likely than the k-th likeliest token goes (its equals stay);
//   top-p: what is behind the shortest run of likeliest tokens with this much probability goes
//     (Holtzman et al., "The curious case of neural text degeneration", 2020);
//   min-p: what has less than this share of the likeliest token's probability goes.
#pragma once

#include <cstdint>
#include <span>

namespace borealis {

struct SamplingOptions {
  double temperature = 0.8;         // 0: greedy, the likeliest token, of equals the first
  int64_t top_k = 40;               // 0: no limit
  double top_p = 1.0;               // in [0, 1]; one token stays at least
  double min_p = 0.0;               // in [0, 1]
  double repetition_penalty = 1.0;  // above 0; 1: none
  uint64_t seed = 1234;
};

// Names the first value that is out of its range. Throws Error(kUsage).
void check_sampling_options(const SamplingOptions& options);

struct Candidate {
  float logit;
  int32_t token;
};

// The different tokens of a text, for the repetition penalty. The memory is the caller's.
class SeenTokens {
 public:
  static int64_t words(int64_t vocab_size) { return (vocab_size + 63) / 64; }
  // tokens: room for as many as the text can have; is_seen: words(vocab_size), which it clears.
  SeenTokens(int32_t* tokens, std::span<uint64_t> is_seen);
  void add(int32_t token);
  std::span<const int32_t> tokens() const { return {tokens_, count_}; }

 private:
  int32_t* tokens_;
  std::span<uint64_t> is_seen_;
  size_t count_ = 0;
};

// `seen` are the different tokens of a text. The tokens that are left, with their logits after the
// penalty, at the start of `candidates` [V]; likeliest first where top-p or min-p cut. Their
// distribution is softmax(logits / temperature). Not for temperature 0. logits must be finite (the
// caller's to check).
std::span<Candidate> filter_candidates(std::span<const float> logits, std::span<const int32_t> seen,
                                       const SamplingOptions& options,
                                       std::span<Candidate> candidates);

// The token that `uniform` in (0, 1) decides on; with temperature 0 it has no say.
int32_t sample_token(std::span<const float> logits, std::span<const int32_t> seen,
                     const SamplingOptions& options, double uniform,
                     std::span<Candidate> candidates);

}  // namespace borealis
