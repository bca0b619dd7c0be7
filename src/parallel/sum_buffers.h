// The memory through which gradients are added up over the ranks, laid out once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/dtype.h"
#include "tensor/arena.h"
#include "tensor/row_gradients.h"

namespace borealis {

// What happens to what is where a sum goes.
enum class SumInto { kReplace, kAdd };

// What is received of a rank at a time is a piece: it stays in the cache until it is added up, and
// of many ranks all pieces together stay small. Two of each rank are on their way at a time. In
// bf16 what is sent is a piece of its own, rounded: both together take what one does in f32.
class SumBuffers {
 public:
  // Empty: for one rank.
  SumBuffers() = default;
  // Nothing for one rank. rows: of the embedding, where its gradient is kept by rows. dtype: of
  // what travels. largest_unit: elements of the largest unit of parameters that are a device's; 0:
  // they are the host's.
  SumBuffers(int64_t ranks, const std::optional<RowGradientsShape>& rows, DType dtype,
             int64_t largest_unit, Arena& arena);

  // Of ranks whose devices do the rest (parallel/group_exchange.h): rows_of_ranks() alone.
  static SumBuffers of_rows_alone(int64_t ranks, const std::optional<RowGradientsShape>& rows,
                                  Arena& arena);

  DType dtype() const { return dtype_; }
  int64_t piece_elements() const { return piece_; }
  // What is received, [ranks][piece_elements()] of the dtype, in two turns.
  template <typename T>
  std::span<T> pieces_of_ranks(int64_t turn) const {
    return span<T>(turn * ranks_ * piece_, 0, ranks_ * piece_);
  }
  // What is sent in a turn, as large, where it is not sent from where it is: of bf16.
  std::span<bf16> sent_pieces(int64_t turn) const {
    return span<bf16>(turn * ranks_ * piece_, ranks_ * piece_, ranks_ * piece_);
  }
  // One piece besides.
  template <typename T>
  std::span<T> own_piece() const {
    return span<T>(2 * ranks_ * piece_, 0, piece_);
  }
  // What lies in the host's memory of a device's at a time: parts of a unit, or all rows.
  template <typename T>
  std::span<T> staged() const {
    return {reinterpret_cast<T*>(staged_),
            static_cast<size_t>(staged_elements_) * sizeof(float) / sizeof(T)};
  }
  // A bit a row of the embedding, by rank: [ranks][row_words()].
  int64_t row_words() const { return row_words_; }
  std::span<uint64_t> rows_of_ranks() const {
    return {rows_, static_cast<size_t>(ranks_ * row_words_)};
  }

 private:
  void take_rows(const std::optional<RowGradientsShape>& rows, Arena& arena);
  // Behind `words` of four bytes and `skipped` elements.
  template <typename T>
  std::span<T> span(int64_t words, int64_t skipped, int64_t elements) const {
    return {reinterpret_cast<T*>(pieces_ + words * kWordBytes) + skipped,
            static_cast<size_t>(elements)};
  }
  static constexpr int64_t kWordBytes = 4;

  DType dtype_ = DType::kF32;
  int64_t ranks_ = 0;
  int64_t piece_ = 0;
  int64_t row_words_ = 0;
  std::byte* pieces_ = nullptr;
  uint64_t* rows_ = nullptr;
  int64_t staged_elements_ = 0;
  float* staged_ = nullptr;
};

}  // namespace borealis
