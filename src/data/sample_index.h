// The samples of one file: which windows of seq_length + 1 tokens, in which order (contract section
// 7.6). The documents of the split are repeated for as many epochs as are needed, shuffled, and
// read as one stream of tokens; sample j is the window that starts at stream token j * seq_length;
// the samples are shuffled in turn. One NumPy generator serves all shuffles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "data/packed_array.h"

namespace borealis {

// The part of a file that a split uses.
struct SequenceRange {
  int64_t first = 0;  // sequences [first, last)
  int64_t last = 0;
  int64_t tokens = 0;  // in all of them, >= 2
  int64_t count() const { return last - first; }
};

// What an index will hold, by arithmetic alone.
struct SampleIndexShape {
  int64_t epochs = 0;
  bool separate_last_epoch = false;  // the last epoch is shuffled by itself
  int64_t samples = 0;               // >= those asked for
  int64_t samples_before_last_epoch = 0;
  int64_t bytes(int64_t sequences) const;  // of the index
};
SampleIndexShape sample_index_shape(const SequenceRange& range, int64_t seq_length,
                                    int64_t requested);

class SampleIndex {
 public:
  // `lengths` of all sequences of the file is read during construction and by for_each_piece.
  SampleIndex(PackedArray<int32_t> lengths, const SequenceRange& range, int64_t seq_length,
              int64_t requested, uint32_t seed);

  // A place in the stream: entry `position` of the document order, token `offset` in it.
  struct Place {
    uint32_t position = 0;
    int32_t offset = 0;
    bool operator==(const Place&) const = default;
  };

  int64_t sample_count() const { return static_cast<int64_t>(sample_order_.size()); }
  std::span<const int32_t> document_order() const { return document_order_; }
  std::span<const Place> starts() const { return starts_; }  // samples + 1
  std::span<const uint32_t> sample_order() const { return sample_order_; }

  // Calls piece(sequence, offset, count) for the pieces that make up sample `number`, in order;
  // the counts add up to seq_length + 1.
  template <typename Piece>
  void for_each_piece(int64_t number, Piece piece) const {
    const Place start = starts_[sample_order_[static_cast<size_t>(number)]];
    int64_t offset = start.offset;
    int64_t left = seq_length_ + 1;
    for (size_t position = start.position; left > 0; ++position, offset = 0) {
      const int32_t sequence = document_order_[position];
      const int64_t count = std::min<int64_t>(left, lengths_[sequence] - offset);
      if (count > 0) piece(sequence, offset, count);
      left -= count;
    }
  }

 private:
  void build_document_order(const SequenceRange& range, const SampleIndexShape& shape,
                            class NumpyRandom& random);
  void build_starts(int64_t samples);
  void build_sample_order(const SampleIndexShape& shape, class NumpyRandom& random);

  PackedArray<int32_t> lengths_;
  int64_t seq_length_ = 0;
  std::vector<int32_t> document_order_;
  std::vector<Place> starts_;
  std::vector<uint32_t> sample_order_;
};

}  // namespace borealis
