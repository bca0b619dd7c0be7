// The samples of one file: which windows of seq_length + 1 tokens, in which order (contract section
// 7.6). The documents of the split are repeated for as many epochs as are needed, shuffled, and
// read as one stream of tokens; sample j is the window that starts at stream token j * seq_length;
// the samples are shuffled in turn. One NumPy generator serves all shuffles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "data/array_storage.h"
#include "data/packed_array.h"

namespace borealis {

class NumpyRandom;

// The part of a file that a split uses.
struct SequenceRange {
  int64_t first = 0;  // sequences [first, last)
  int64_t last = 0;
  int64_t tokens = 0;  // in all of them, >= 2
  int64_t epochs = 0;  // passes over them that the index is made of; 0: as the samples need
  int64_t count() const { return last - first; }
};

// A place in the stream: entry `position` of the document order, token `offset` in it. As in the
// reference's _sample_idx.npy.
struct StreamPlace {
  int64_t position = 0;
  int64_t offset = 0;
  bool operator==(const StreamPlace&) const = default;
};

// What an index will hold, by arithmetic alone.
struct SampleIndexShape {
  int64_t epochs = 0;
  bool separate_last_epoch = false;  // the last epoch is shuffled by itself
  int64_t samples = 0;               // >= those asked for
  int64_t samples_before_last_epoch = 0;

  // From here on the order of the samples takes 8 bytes a sample instead of 4, as in the reference.
  bool wide_order() const { return samples >= 0xfffffffe; }
  int64_t order_bytes() const { return samples * (wide_order() ? 8 : 4); }
  int64_t document_bytes(int64_t sequences) const { return epochs * sequences * 4; }
  int64_t bytes(int64_t sequences) const;  // of the whole index
  // Of the file, which building reads in the order of the documents.
  static int64_t lengths_bytes(int64_t sequences) { return sequences * 4; }
  // Working memory of an index that is written to files: both orders, which shuffling needs whole.
  int64_t build_bytes(int64_t sequences) const;
};
// `requested` may be 0: a file that gives nothing still has an index in the reference.
// `range.epochs`, if given, must be exact_epochs_fit.
SampleIndexShape sample_index_shape(const SequenceRange& range, int64_t seq_length,
                                    int64_t requested);

// Whether an index of range.epochs passes holds `requested` samples and its last epoch has some of
// them: what the reference requires.
bool exact_epochs_fit(const SequenceRange& range, int64_t seq_length, int64_t requested);

// The order of the samples: u32, or i64 where `SampleIndexShape::wide_order()`.
class SampleOrderView {
 public:
  SampleOrderView() = default;
  SampleOrderView(const std::byte* data, int64_t size, bool wide)
      : narrow_(data, wide ? 0 : size), wide_(data, wide ? size : 0), size_(size) {}
  int64_t size() const { return size_; }
  int64_t operator[](int64_t i) const { return wide_.size() > 0 ? wide_[i] : narrow_[i]; }

 private:
  PackedArray<uint32_t> narrow_;
  PackedArray<int64_t> wide_;
  int64_t size_ = 0;
};

// The three arrays, wherever they are: in memory, or in mapped files.
struct SampleIndexArrays {
  PackedArray<int32_t> document_order;  // sequences of the file
  PackedArray<StreamPlace> starts;      // samples + 1
  SampleOrderView sample_order;
  std::shared_ptr<const ArrayStorage> storage;
  std::string files;  // stem of mapped files, for messages
};

// The parts of the construction, in the order in which the generator serves them; `out` has the
// size of the shape. Starts come in chunks, in order, and need the document order alone.
void build_document_order(const SequenceRange& range, const SampleIndexShape& shape,
                          NumpyRandom& random, std::span<int32_t> out);
void build_starts(PackedArray<int32_t> lengths, std::span<const int32_t> document_order,
                  int64_t seq_length, int64_t samples,
                  const std::function<void(std::span<const StreamPlace>)>& sink);
void build_sample_order(const SampleIndexShape& shape, NumpyRandom& random,
                        std::span<std::byte> out);

// Throws Error(kData): arrays read from files contradict the data. from: the files' stem, where it
// is known.
[[noreturn]] void refuse_cached_index(const std::string& from = "");

class SampleIndex {
 public:
  // Builds in memory. `lengths` of all sequences of the file is read here and by for_each_piece.
  SampleIndex(PackedArray<int32_t> lengths, const SequenceRange& range, int64_t seq_length,
              int64_t requested, uint32_t seed);
  // Of arrays made before, whose places must lie inside the file.
  SampleIndex(PackedArray<int32_t> lengths, int64_t seq_length, SampleIndexArrays arrays)
      : lengths_(lengths), seq_length_(seq_length), arrays_(std::move(arrays)) {}

  int64_t sample_count() const { return arrays_.sample_order.size(); }
  const SampleIndexArrays& arrays() const { return arrays_; }
  void forget_pages() const {
    if (arrays_.storage) arrays_.storage->forget_pages();
  }

  // Calls piece(sequence, offset, count) for the pieces that make up sample `number`, in order;
  // the counts add up to seq_length + 1. Throws Error(kData) where the arrays lead out of the file,
  // which only those of a foreign cache do.
  template <typename Piece>
  void for_each_piece(int64_t number, Piece piece) const {
    if (number < 0 || number >= sample_count()) refuse_cached_index(arrays_.files);
    const int64_t place = arrays_.sample_order[number];
    if (place < 0 || place >= sample_count()) refuse_cached_index(arrays_.files);
    const StreamPlace start = arrays_.starts[place];
    if (start.position < 0 || start.offset < 0) refuse_cached_index(arrays_.files);
    int64_t offset = start.offset;
    int64_t left = seq_length_ + 1;
    for (int64_t position = start.position; left > 0; ++position, offset = 0) {
      if (position >= arrays_.document_order.size()) refuse_cached_index(arrays_.files);
      const int32_t sequence = arrays_.document_order[position];
      if (sequence < 0 || sequence >= lengths_.size()) refuse_cached_index(arrays_.files);
      const int64_t count = std::min<int64_t>(left, lengths_[sequence] - offset);
      if (count > 0) piece(sequence, offset, count);
      left -= std::max<int64_t>(0, count);
    }
  }

 private:
  PackedArray<int32_t> lengths_;
  int64_t seq_length_ = 0;
  SampleIndexArrays arrays_;
};

}  // namespace borealis
