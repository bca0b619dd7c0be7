#include "data/sample_index.h"

#include <limits>
#include <numeric>

#include "base/check.h"
#include "data/numpy_random.h"

namespace borealis {

int64_t SampleIndexShape::bytes(int64_t sequences) const {
  return epochs * sequences * static_cast<int64_t>(sizeof(int32_t)) +
         (samples + 1) * static_cast<int64_t>(sizeof(SampleIndex::Place)) +
         samples * static_cast<int64_t>(sizeof(uint32_t));
}

SampleIndexShape sample_index_shape(const SequenceRange& range, int64_t seq_length,
                                    int64_t requested) {
  CHECK(range.tokens >= 2 && seq_length >= 1 && requested >= 1);
  SampleIndexShape shape;
  // Least epochs whose tokens make `requested` windows and one more token for the last target.
  shape.epochs = (requested * seq_length + 1 + range.tokens - 1) / range.tokens;
  shape.samples = (shape.epochs * range.tokens - 1) / seq_length;
  if (shape.epochs == 1) return shape;
  shape.samples_before_last_epoch = ((shape.epochs - 1) * range.tokens - 1) / seq_length;
  const int64_t last = requested - shape.samples_before_last_epoch;
  const int64_t per_epoch = (range.tokens - 1) / seq_length;
  CHECK(last >= 0 && last <= per_epoch + 1);
  // An epoch of which less than 80 % is needed would otherwise thin out the whole order.
  shape.separate_last_epoch = last < static_cast<int64_t>(0.8 * static_cast<double>(per_epoch));
  return shape;
}

SampleIndex::SampleIndex(PackedArray<int32_t> lengths, const SequenceRange& range,
                         int64_t seq_length, int64_t requested, uint32_t seed)
    : lengths_(lengths), seq_length_(seq_length) {
  const SampleIndexShape shape = sample_index_shape(range, seq_length, requested);
  NumpyRandom random(seed);
  build_document_order(range, shape, random);
  build_starts(shape.samples);
  build_sample_order(shape, random);
}

void SampleIndex::build_document_order(const SequenceRange& range, const SampleIndexShape& shape,
                                       NumpyRandom& random) {
  CHECK(range.last <= std::numeric_limits<int32_t>::max());
  const int64_t entries = shape.epochs * range.count();
  CHECK(entries <= std::numeric_limits<uint32_t>::max());
  document_order_.resize(static_cast<size_t>(entries));
  for (auto epoch = document_order_.begin(); epoch != document_order_.end();
       epoch += range.count()) {
    std::iota(epoch, epoch + range.count(), static_cast<int32_t>(range.first));
  }
  const std::span<int32_t> all(document_order_);
  const auto last_epoch = static_cast<size_t>(shape.separate_last_epoch ? range.count() : 0);
  random.shuffle(all.first(all.size() - last_epoch));
  random.shuffle(all.last(last_epoch));
}

void SampleIndex::build_starts(int64_t samples) {
  starts_.reserve(static_cast<size_t>(samples) + 1);
  starts_.push_back({0, 0});
  size_t position = 0;
  int64_t offset = 0;
  for (int64_t sample = 0; sample < samples; ++sample) {
    offset += seq_length_;
    // Past this document, and past empty ones.
    while (offset >= lengths_[document_order_[position]]) {
      offset -= lengths_[document_order_[position]];
      ++position;
    }
    starts_.push_back({static_cast<uint32_t>(position), static_cast<int32_t>(offset)});
  }
}

void SampleIndex::build_sample_order(const SampleIndexShape& shape, NumpyRandom& random) {
  CHECK(shape.samples <= std::numeric_limits<uint32_t>::max());
  sample_order_.resize(static_cast<size_t>(shape.samples));
  std::iota(sample_order_.begin(), sample_order_.end(), 0u);
  const std::span<uint32_t> all(sample_order_);
  const auto first = static_cast<size_t>(shape.separate_last_epoch ? shape.samples_before_last_epoch
                                                                   : shape.samples);
  random.shuffle(all.first(first));
  random.shuffle(all.subspan(first));
}

}  // namespace borealis
