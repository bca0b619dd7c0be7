// The memory through which gradients are added up over the ranks, laid out once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "tensor/arena.h"
#include "tensor/row_gradients.h"

namespace borealis {

// What is received of a rank at a time is a piece: it stays in the cache until it is added up, and
// of many ranks all pieces together stay small. Two of each rank are on their way at a time.
class SumBuffers {
 public:
  // Empty: for one rank.
  SumBuffers() = default;
  // Nothing for one rank. rows: of the embedding, where its gradient is kept by rows.
  SumBuffers(int64_t ranks, const std::optional<RowGradientsShape>& rows, Arena& arena);

  int64_t piece_elements() const { return piece_; }
  // [ranks][piece_elements()] of f32, twice, and one piece besides.
  std::span<float> pieces_of_ranks(int64_t turn) const {
    return span(turn * ranks_ * piece_, ranks_ * piece_);
  }
  std::span<float> own_piece() const { return span(2 * ranks_ * piece_, piece_); }
  // A bit a row of the embedding, by rank: [ranks][row_words()].
  int64_t row_words() const { return row_words_; }
  std::span<uint64_t> rows_of_ranks() const {
    return {rows_, static_cast<size_t>(ranks_ * row_words_)};
  }

 private:
  std::span<float> span(int64_t offset, int64_t elements) const {
    return {pieces_ + offset, static_cast<size_t>(elements)};
  }

  int64_t ranks_ = 0;
  int64_t piece_ = 0;
  int64_t row_words_ = 0;
  float* pieces_ = nullptr;
  uint64_t* rows_ = nullptr;
};

}  // namespace borealis
