#include "model/cached_decoder.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "model/decoder.h"
#include "model/decoder_layer.h"
#include "model/layer_ops.h"

namespace borealis {
namespace {

template <typename T>
class CachedDecoderOf : public CachedDecoder {
 public:
  CachedDecoderOf(const GenerationShape& shape, const ParameterBuffers& parameters,
                  GenerationArenas& arenas, Backend& backend)
      : shape_(shape),
        device_(backend.device()),
        offsets_(decoder_offsets(shape.model, *parameters.table)),
        buffers_(shape, arenas),
        ops_(backend, shape.largest_pass(), parameters,
             make_rope_table(shape.model, shape.capacity, parameters.dtype), buffers_.decoder,
             /*profiler=*/nullptr),
        prompt_rows_(shape.prompt_pass_rows()),
        decode_rows_(shape.decode_pass_rows()),
        lengths_(static_cast<size_t>(shape.sequences)) {
    const auto rows = static_cast<size_t>(shape.largest_pass().rows());
    for (auto* of_rows :
         {&batch_.tokens, &batch_.positions, &batch_.document_starts, &sequences_}) {
      of_rows->reserve(rows);
    }
  }

  void prefill(std::span<const SequenceTokens> prompts, float* logits) override {
    CHECK(!prompts.empty());
    if (static_cast<int64_t>(prompts[0].tokens.size()) > shape_.prompt_rows) {
      CHECK(prompts.size() == 1);
      prefill_pieces(prompts[0]);
    } else {
      prefill_together(prompts);
    }
    last_logits(logits);
  }

  void decode(std::span<const SequenceTokens> next, float* logits) override {
    clear_rows();
    for (const SequenceTokens& token : next) {
      CHECK(token.tokens.size() == 1);
      add_rows(token);
    }
    fill_up(decode_rows_);
    batch_.batch_size = rows();
    batch_.seq_length = 1;
    forward_layers([this](const LayerActivations<T>& a, const KeyValueCache<T>& cache) {
      ops_.cache(a.qkv, cache_rows(), cache);
      ops_.attend_cached(a.qkv, cache_rows(), cache, a.attention);
    });
    last_logits(logits);
  }

 private:
  // The prompts lie one behind the other in one sequence, as documents that attention does not
  // cross.
  void prefill_together(std::span<const SequenceTokens> prompts) {
    clear_rows();
    for (const SequenceTokens& prompt : prompts) {
      lengths_[static_cast<size_t>(prompt.sequence)] = 0;
      add_rows(prompt);
    }
    fill_up(prompt_rows_);
    batch_.batch_size = 1;
    batch_.seq_length = rows();
    forward_layers([this](const LayerActivations<T>& a, const KeyValueCache<T>& cache) {
      ops_.attend(a);
      ops_.cache(a.qkv, cache_rows(), cache);
    });
  }

  void prefill_pieces(const SequenceTokens& prompt) {
    const auto length = static_cast<int64_t>(prompt.tokens.size()), piece = shape_.piece_rows();
    CHECK(piece > 0 && length <= shape_.longest_prompt);
    lengths_[static_cast<size_t>(prompt.sequence)] = 0;
    for (int64_t first = 0; first < length; first += piece) {
      const int64_t count = std::min(piece, length - first);
      clear_rows();
      add_rows({prompt.sequence,
                prompt.tokens.subspan(static_cast<size_t>(first), static_cast<size_t>(count))});
      fill_up(prompt_rows_);
      batch_.batch_size = 1;
      batch_.seq_length = rows();
      forward_layers([&](const LayerActivations<T>& a, const KeyValueCache<T>& cache) {
        ops_.cache(a.qkv, cache_rows(), cache);
        ops_.attend_prefix(a.qkv, first, first + count, prompt.sequence, cache, a.attention, a.lse);
      });
    }
  }

  int64_t rows() const { return static_cast<int64_t>(sequences_.size()); }
  CacheRows cache_rows() const { return {rows(), sequences_.data(), batch_.positions.data()}; }

  void clear_rows() {
    for (auto* of_rows :
         {&batch_.tokens, &batch_.positions, &batch_.document_starts, &sequences_}) {
      of_rows->clear();
    }
    last_rows_.clear();
  }
  void add_row(int32_t sequence, int32_t token, int32_t position, int32_t document_start) {
    CHECK(token >= 0 && token < shape_.model.vocab_size && position < shape_.capacity);
    batch_.tokens.push_back(token);
    batch_.positions.push_back(position);
    batch_.document_starts.push_back(document_start);
    sequences_.push_back(sequence);
  }
  void add_rows(const SequenceTokens& of) {
    CHECK(!of.tokens.empty());
    int32_t& length = lengths_[static_cast<size_t>(of.sequence)];
    const auto start = static_cast<int32_t>(rows());
    for (const int32_t token : of.tokens) add_row(of.sequence, token, length++, start);
    last_rows_.push_back(rows() - 1);
  }
  void fill_up(const std::vector<int64_t>& sizes) {
    const auto size = std::lower_bound(sizes.begin(), sizes.end(), rows());
    CHECK(size != sizes.end());
    while (rows() < *size) add_row(kNoSequence, 0, 0, static_cast<int32_t>(rows()));
  }

  // Leaves the final norm's output in `normed`.
  template <class Attend>
  void forward_layers(const Attend& attend) {
    DecoderBuffers<T>& b = buffers_.decoder;
    const LayerActivations<T>& a = b.slots[0];
    ops_.begin(batch_);
    ops_.embed(offsets_.embedding, a.x);
    for (size_t layer = 0; layer < offsets_.layers.size(); ++layer) {
      forward_layer(
          ops_, offsets_.layers[layer], a, b, [&] { attend(a, buffers_.cache[layer]); }, a.x);
    }
    ops_.norm(a.x, offsets_.final_norm, b.normed, b.inv_rms_final);
  }

  void last_logits(float* logits) {
    const int64_t D = shape_.model.hidden_size;
    T* to = buffers_.last;
    for (const int64_t row : last_rows_) {
      ops_.copy_row(buffers_.decoder.normed + row * D, to);
      to += D;
    }
    const auto count = static_cast<int64_t>(last_rows_.size());
    if (device_.is_host()) return ops_.logits(buffers_.last, offsets_.head, count, logits);
    ops_.logits(buffers_.last, offsets_.head, count, buffers_.logits);
    device_.download(logits, buffers_.logits,
                     static_cast<size_t>(count * shape_.model.vocab_size) * sizeof(float));
  }

  GenerationShape shape_;
  Device& device_;
  DecoderOffsets offsets_;
  CachedDecoderBuffers<T> buffers_;
  LayerOps<T> ops_;
  std::vector<int64_t> prompt_rows_, decode_rows_;
  std::vector<int32_t> lengths_;  // [S] tokens in the cache
  // Of the pass under way:
  Batch batch_;
  std::vector<int32_t> sequences_;  // of each row
  std::vector<int64_t> last_rows_;  // of each sequence
};

}  // namespace

std::unique_ptr<CachedDecoder> make_cached_decoder(const GenerationShape& shape,
                                                   const ParameterBuffers& parameters,
                                                   GenerationArenas& arenas, Backend& backend) {
  if (parameters.dtype == DType::kF32) {
    return std::make_unique<CachedDecoderOf<float>>(shape, parameters, arenas, backend);
  }
  return std::make_unique<CachedDecoderOf<bf16>>(shape, parameters, arenas, backend);
}

}  // namespace borealis
