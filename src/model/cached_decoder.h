// The decoder of generation: prompts, and after them single tokens of many texts together, against
// a cache of the keys and values of what came before. Layers and weights are those of decoder.h.
//   S sequences, V vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/backend.h"
#include "model/generation_buffers.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

struct SequenceTokens {
  int32_t sequence = 0;  // in [0, S)
  std::span<const int32_t> tokens;
};

class CachedDecoder {
 public:
  virtual ~CachedDecoder() = default;
  // Prompts, of shape.prompt_rows tokens together at most, or one that is longer, take the place of
  // what their sequences held. A longer one passes through the layers in pieces, each of which
  // attends over the cache of those before it: memory does not grow with its activations, and the
  // attention's bits are those of one pass. logits [prompts, V]: of what follows each.
  virtual void prefill(std::span<const SequenceTokens> prompts, float* logits) = 0;
  // Each sequence, which is named once, goes on by one token. logits [next, V]. The cache must have
  // room (CHECK).
  virtual void decode(std::span<const SequenceTokens> next, float* logits) = 0;
};

// Lays out its buffers in the arenas, which must outlive it like the parameters and the backend.
std::unique_ptr<CachedDecoder> make_cached_decoder(const GenerationShape& shape,
                                                   const ParameterBuffers& parameters,
                                                   GenerationArenas& arenas,
                                                   Backend& backend = cpu_backend());

}  // namespace borealis
