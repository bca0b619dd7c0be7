// Every byte that generation touches besides the weights, laid out once: on measuring arenas it is
// the memory plan, on real ones the allocation.
//   S sequences that grow at the same time, R rows of the largest pass, D hidden, V vocabulary,
//   K key/value heads, C head dim, L layers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/attention.h"
#include "model/decoder_buffers.h"
#include "model/sampler.h"

namespace borealis {

struct GenerationShape {
  ModelConfig model;
  int64_t sequences = 1;    // S
  int64_t capacity = 0;     // positions of a sequence: prompt and continuation together
  int64_t prompt_rows = 0;  // tokens of prompts that pass through the layers at a time; a longer
                            // prompt goes in pieces
  ProductMode mode = ProductMode::kF32;
  int threads = 1;
  int64_t prompts = 1;                 // in all
  int64_t longest_prompt = 0;          // tokens
  std::optional<GpuProfile> gpu = {};  // none: the host

  DecoderShape prompt_pass(int64_t rows) const;  // prompts one behind the other in one sequence
  // Tokens of a prompt in pieces that pass at a time: whole attention blocks.
  int64_t piece_rows() const { return prompt_rows / kAttentionPieceRows * kAttentionPieceRows; }
  DecoderShape decode_pass(int64_t rows) const;  // one token of each of so many sequences
  DecoderShape largest_pass() const;             // R
  // The sizes that passes have, in rising order; a pass over fewer tokens is filled up to the next.
  std::vector<int64_t> prompt_pass_rows() const;
  std::vector<int64_t> decode_pass_rows() const;
  int64_t cache_elements() const { return sequences * model.key_value_size() * capacity; }
  int64_t scratch_floats() const;
};

struct GenerationArenas {
  DecoderArenas decoder;
  Arena cache;
  Arena host;  // of a GPU's: what texts are drawn with

  static GenerationArenas measuring() {
    return {DecoderArenas::measuring(), Arena::measuring(), Arena::measuring()};
  }
  int64_t used_bytes() const;
};
// Sizes alone, and memory of these sizes: in `memory` if it is large enough, which must then
// outlive the arenas, else memory of their own, on the device that the shape is of.
GenerationArenas measure_generation(const GenerationShape& shape);
GenerationArenas allocate_generation(const GenerationShape& shape, std::span<std::byte> memory,
                                     Device& device = host_device());

template <typename T>
struct CachedDecoderBuffers {
  DecoderBuffers<T> decoder;            // of the largest pass
  std::vector<KeyValueCache<T>> cache;  // [L]
  T* last = nullptr;        // [S, D] the final norm of the tokens whose logits are wanted
  float* logits = nullptr;  // [S, V], on a GPU, from where they are read

  CachedDecoderBuffers(const GenerationShape& shape, GenerationArenas& arenas);
};

struct SamplingBuffers {
  float* logits = nullptr;          // [S, V]
  Candidate* candidates = nullptr;  // [S, V]
  int32_t* seen = nullptr;          // [S, capacity] the different tokens of a text
  uint64_t* is_seen = nullptr;      // [S, V / 64] a bit a token

  SamplingBuffers(const GenerationShape& shape, GenerationArenas& arenas);
};

}  // namespace borealis
