#include "data/sample_index.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/error.h"
#include "base/rounding.h"
#include "data/numpy_random.h"

namespace borealis {
namespace {

constexpr int64_t kPlaceBytes = sizeof(StreamPlace);

template <typename T>
void fill_and_shuffle(std::span<T> out, size_t first, NumpyRandom& random) {
  std::iota(out.begin(), out.end(), T{0});
  random.shuffle(out.first(first));
  random.shuffle(out.subspan(first));
}

// Memory that is written before it is read: no zeroing first.
struct OwnedArrays : ArrayStorage {
  std::unique_ptr<int32_t[]> document_order;
  std::unique_ptr<StreamPlace[]> starts;
  std::unique_ptr<std::byte[]> sample_order;
};

}  // namespace

int64_t SampleIndexShape::bytes(int64_t sequences) const {
  return document_bytes(sequences) + (samples + 1) * kPlaceBytes + order_bytes();
}

int64_t SampleIndexShape::build_bytes(int64_t sequences) const {
  return document_bytes(sequences) + order_bytes();
}

SampleIndexShape sample_index_shape(const SequenceRange& range, int64_t seq_length,
                                    int64_t requested) {
  CHECK(range.tokens >= 2 && seq_length >= 1 && requested >= 0);
  SampleIndexShape shape;
  // Least epochs whose tokens make `requested` windows and one more token for the last target.
  shape.epochs =
      range.epochs > 0 ? range.epochs : divide_up(requested * seq_length + 1, range.tokens);
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

bool exact_epochs_fit(const SequenceRange& range, int64_t seq_length, int64_t requested) {
  const int64_t samples = (range.epochs * range.tokens - 1) / seq_length;
  const int64_t before = ((range.epochs - 1) * range.tokens - 1) / seq_length;
  return requested <= samples && (range.epochs == 1 || requested >= before);
}

void build_document_order(const SequenceRange& range, const SampleIndexShape& shape,
                          NumpyRandom& random, std::span<int32_t> out) {
  CHECK(range.last <= std::numeric_limits<int32_t>::max());
  CHECK(static_cast<int64_t>(out.size()) == shape.epochs * range.count());
  for (auto epoch = out.begin(); epoch != out.end(); epoch += range.count()) {
    std::iota(epoch, epoch + range.count(), static_cast<int32_t>(range.first));
  }
  const auto last_epoch = static_cast<size_t>(shape.separate_last_epoch ? range.count() : 0);
  random.shuffle(out.first(out.size() - last_epoch));
  random.shuffle(out.last(last_epoch));
}

void build_starts(PackedArray<int32_t> lengths, std::span<const int32_t> document_order,
                  int64_t seq_length, int64_t samples,
                  const std::function<void(std::span<const StreamPlace>)>& sink) {
  constexpr size_t kAhead = 32;  // lengths of shuffled documents lie anywhere in the file
  std::array<StreamPlace, 4096> chunk;
  size_t filled = 0;
  const auto add = [&](StreamPlace place) {
    chunk[filled++] = place;
    if (filled < chunk.size()) return;
    sink(chunk);
    filled = 0;
  };
  add({0, 0});
  size_t position = 0;
  int64_t offset = 0;
  for (int64_t sample = 0; sample < samples; ++sample) {
    offset += seq_length;
    // Past this document, and past empty ones.
    for (int64_t length; offset >= (length = lengths[document_order[position]]); ++position) {
      offset -= length;
      if (position + kAhead < document_order.size()) {
        lengths.prefetch(document_order[position + kAhead]);
      }
    }
    add({static_cast<int64_t>(position), offset});
  }
  if (filled > 0) sink(std::span(chunk).first(filled));
}

void build_sample_order(const SampleIndexShape& shape, NumpyRandom& random,
                        std::span<std::byte> out) {
  CHECK(static_cast<int64_t>(out.size()) == shape.order_bytes());
  const auto samples = static_cast<size_t>(shape.samples);
  const auto first =
      shape.separate_last_epoch ? static_cast<size_t>(shape.samples_before_last_epoch) : samples;
  if (shape.wide_order()) {
    fill_and_shuffle(std::span(reinterpret_cast<int64_t*>(out.data()), samples), first, random);
  } else {
    fill_and_shuffle(std::span(reinterpret_cast<uint32_t*>(out.data()), samples), first, random);
  }
}

SampleIndex::SampleIndex(PackedArray<int32_t> lengths, const SequenceRange& range,
                         int64_t seq_length, int64_t requested, uint32_t seed)
    : lengths_(lengths), seq_length_(seq_length) {
  const SampleIndexShape shape = sample_index_shape(range, seq_length, requested);
  const auto documents = static_cast<size_t>(shape.epochs * range.count());
  const auto places = static_cast<size_t>(shape.samples + 1);
  const auto order_bytes = static_cast<size_t>(shape.order_bytes());
  auto owned = std::make_shared<OwnedArrays>();
  owned->document_order = std::make_unique_for_overwrite<int32_t[]>(documents);
  owned->starts = std::make_unique_for_overwrite<StreamPlace[]>(places);
  owned->sample_order = std::make_unique_for_overwrite<std::byte[]>(order_bytes);

  const std::span document_order(owned->document_order.get(), documents);
  NumpyRandom random(seed);
  build_document_order(range, shape, random, document_order);
  StreamPlace* next = owned->starts.get();
  build_starts(
      lengths, document_order, seq_length, shape.samples,
      [&](std::span<const StreamPlace> chunk) { next = std::ranges::copy(chunk, next).out; });
  build_sample_order(shape, random, {owned->sample_order.get(), order_bytes});

  arrays_.document_order = PackedArray<int32_t>(document_order);
  arrays_.starts =
      PackedArray<StreamPlace>(std::span<const StreamPlace>(owned->starts.get(), places));
  arrays_.sample_order = {owned->sample_order.get(), shape.samples, shape.wide_order()};
  arrays_.storage = std::move(owned);
}

void refuse_cached_index(const std::string& from) {
  const std::string name =
      from.empty() ? "a cached order of samples" : fmt::format("the cached sample index {}*", from);
  throw Error(ErrorKind::kData, name + " leads to a place outside of its data set",
              from.empty() ? "remove the folder that DATA_CACHE_PATH names; it is made again"
                           : "remove these files; the index is built again");
}

}  // namespace borealis
