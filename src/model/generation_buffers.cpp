#include "model/generation_buffers.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace borealis {
namespace {

// Multiples of `least`, and four sizes an octave where these are further apart, up to `most`: a
// library makes its kernels anew for every size, so they are few; at most a quarter of the rows of
// a pass only fill it up.
std::vector<int64_t> pass_sizes(int64_t least, int64_t most) {
  std::vector<int64_t> sizes;
  for (int64_t rows = 0; rows < most;) {
    const auto octave = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(rows)));
    rows = std::min(rows + std::max(least, octave / 4), most);
    sizes.push_back(rows);
  }
  return sizes;
}

}  // namespace

DecoderShape GenerationShape::prompt_pass(int64_t rows) const {
  DecoderShape shape{.model = model, .recompute = {}};
  shape.micro_batch_size = 1;
  shape.seq_length = rows;
  shape.mode = mode;
  shape.threads = threads;
  shape.forward_only = true;
  shape.products = products_for_rows(std::max(prompt_rows, sequences));
  shape.gpu = gpu;
  if (shape.gpu) shape.gpu->has_fused_attention = false;  // its plans are of one length
  shape.head_rows = 1;                                    // logits do not lie in the scratch
  return shape;
}

DecoderShape GenerationShape::decode_pass(int64_t rows) const {
  DecoderShape shape = prompt_pass(1);
  shape.micro_batch_size = rows;
  return shape;
}

DecoderShape GenerationShape::largest_pass() const {
  return prompt_pass(std::max(prompt_rows, sequences));
}

// Over every pass that can come: what kernels need does not always grow with the rows.
int64_t GenerationShape::scratch_floats() const {
  if (gpu) return largest_pass().scratch_floats(capacity);
  int64_t floats =
      std::max(head_forward_scratch_floats(mode, {sequences, model.hidden_size, model.vocab_size},
                                           largest_pass().products),
               attention_decode_scratch_floats(decode_pass(sequences).attention(), sequences));
  for (const int64_t rows : prompt_pass_rows()) {
    floats = std::max(floats, prompt_pass(rows).layer_scratch_floats());
  }
  if (longest_prompt > prompt_rows) {
    const AttentionShape all = prompt_pass(longest_prompt).attention();
    floats = std::max(floats, mode == ProductMode::kF32
                                  ? attention_prefix_scratch_floats<float>(all, threads)
                                  : attention_prefix_scratch_floats<bf16>(all, threads));
  }
  for (const int64_t rows : decode_pass_rows()) {
    floats = std::max(floats, decode_pass(rows).layer_scratch_floats());
  }
  return floats;
}

std::vector<int64_t> GenerationShape::prompt_pass_rows() const {
  return pass_sizes(16, prompt_rows);
}
std::vector<int64_t> GenerationShape::decode_pass_rows() const { return pass_sizes(1, sequences); }

int64_t GenerationArenas::used_bytes() const {
  return decoder.activations.used_bytes() + decoder.working.used_bytes() +
         decoder.scratch.used_bytes() + cache.used_bytes();
}

GenerationArenas measure_generation(const GenerationShape& shape) {
  GenerationArenas arenas = GenerationArenas::measuring();
  if (shape.mode == ProductMode::kF32) {
    const CachedDecoderBuffers<float> measured(shape, arenas);
  } else {
    const CachedDecoderBuffers<bf16> measured(shape, arenas);
  }
  const SamplingBuffers measured(shape, arenas);
  return arenas;
}

GenerationArenas allocate_generation(const GenerationShape& shape, std::span<std::byte> memory,
                                     Device& device) {
  CHECK(device.is_host() != shape.gpu.has_value());
  const GenerationArenas measured = measure_generation(shape);
  const DecoderArenas& decoder = measured.decoder;
  if (static_cast<int64_t>(memory.size()) < measured.used_bytes()) {
    return {{Arena(decoder.activations.used_bytes(), "activations", device),
             Arena(decoder.working.used_bytes(), "the working set", device),
             Arena(decoder.scratch.used_bytes(), "scratch", device)},
            Arena(measured.cache.used_bytes(), "the key/value cache", device),
            Arena(measured.host.used_bytes(), "sampling")};
  }
  const auto carve = [&memory](const Arena& of) {
    const std::span<std::byte> piece = memory.first(static_cast<size_t>(of.used_bytes()));
    memory = memory.subspan(piece.size());
    return Arena(piece);
  };
  return {{carve(decoder.activations), carve(decoder.working), carve(decoder.scratch)},
          carve(measured.cache),
          Arena(std::span<std::byte>())};
}

template <typename T>
CachedDecoderBuffers<T>::CachedDecoderBuffers(const GenerationShape& shape,
                                              GenerationArenas& arenas)
    : decoder(shape.largest_pass(), arenas.decoder, shape.scratch_floats()) {
  for (int64_t layer = 0; layer < shape.model.num_hidden_layers; ++layer) {
    KeyValueCache<T> of_layer;
    of_layer.keys = arenas.cache.take<T>(shape.cache_elements());
    of_layer.values = arenas.cache.take<T>(shape.cache_elements());
    of_layer.capacity = shape.capacity;
    cache.push_back(of_layer);
  }
  last = arenas.decoder.working.take<T>(shape.sequences * shape.model.hidden_size);
  if (shape.gpu) {
    logits = arenas.decoder.working.take<float>(shape.sequences * shape.model.vocab_size);
  }
}

SamplingBuffers::SamplingBuffers(const GenerationShape& shape, GenerationArenas& arenas) {
  const int64_t S = shape.sequences, V = shape.model.vocab_size;
  Arena& working = shape.gpu ? arenas.host : arenas.decoder.working;
  logits = working.take<float>(S * V);
  candidates = working.take<Candidate>(S * V);
  seen = working.take<int32_t>(S * shape.capacity);
  is_seen = working.take<uint64_t>(S * SeenTokens::words(V));
}

template struct CachedDecoderBuffers<float>;
template struct CachedDecoderBuffers<bf16>;

}  // namespace borealis
