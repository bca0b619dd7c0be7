#include "parallel/sum_buffers.h"

#include <algorithm>

#include "base/rounding.h"

namespace borealis {
namespace {

constexpr int64_t kPieceElements = (int64_t{256} << 10) / sizeof(float);
constexpr int64_t kMostElements = (int64_t{16} << 20) / sizeof(float);  // of all ranks' pieces
constexpr int64_t kRowsOfAWord = 64;

int64_t piece_for(int64_t ranks, const std::optional<RowGradientsShape>& rows) {
  constexpr int64_t kLine = 16;
  const int64_t share = kMostElements / (2 * ranks + 1) / kLine * kLine;
  const int64_t piece = std::clamp(share, kLine, kPieceElements);
  return rows ? std::max(piece, rows->row_size) : piece;  // a row travels as a whole
}

// Of a unit as much as is worth a call of each; the rows of an embedding are looked for one by one.
int64_t staged_for(int64_t ranks, const std::optional<RowGradientsShape>& rows,
                   int64_t largest_unit) {
  constexpr int64_t kMostStaged = (int64_t{64} << 20) / sizeof(float);
  const int64_t of_unit = std::max(std::min(largest_unit, kMostStaged), ranks);
  return rows ? std::max(of_unit, rows->most_rows * rows->row_size) : of_unit;
}

}  // namespace

SumBuffers::SumBuffers(int64_t ranks, const std::optional<RowGradientsShape>& rows, DType dtype,
                       int64_t largest_unit, Arena& arena)
    : dtype_(dtype) {
  if (ranks == 1) return;
  ranks_ = ranks;
  piece_ = piece_for(ranks, rows);
  pieces_ = arena.take<std::byte>((2 * ranks + 1) * piece_ * kWordBytes);
  if (largest_unit > 0) {
    staged_elements_ = staged_for(ranks, rows, largest_unit);
    staged_ = arena.take<float>(staged_elements_);
  }
  take_rows(rows, arena);
}

SumBuffers SumBuffers::of_rows_alone(int64_t ranks, const std::optional<RowGradientsShape>& rows,
                                     Arena& arena) {
  SumBuffers buffers;
  buffers.ranks_ = ranks;
  buffers.take_rows(rows, arena);
  return buffers;
}

void SumBuffers::take_rows(const std::optional<RowGradientsShape>& rows, Arena& arena) {
  if (!rows) return;
  row_words_ = divide_up(rows->table_rows, kRowsOfAWord);
  rows_ = arena.take<uint64_t>(ranks_ * row_words_);
}

}  // namespace borealis
