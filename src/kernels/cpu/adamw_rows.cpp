#include <algorithm>

#include "base/rounding.h"
#include "kernels/adamw.h"

namespace borealis {
namespace {

constexpr int64_t kRowsOfAShare = 64;  // a word of had_gradient: no two threads write to one

void update(const AdamWRows<bf16>& rows, int64_t at, int64_t size, const float* gradient,
            const AdamWStep& step) {
  const AdamWState from = AdamWState{rows.remainder, rows.m, rows.v}.at(at);
  if (rows.to.m == nullptr) {
    adamw_update(rows.weight + at, from.remainder, from.m, from.v, gradient, size, step);
  } else {
    adamw_move(rows.weight + at, from, rows.to.at(at), gradient, size, step);
  }
}
void update(const AdamWRows<float>& rows, int64_t at, int64_t size, const float* gradient,
            const AdamWStep& step) {
  const AdamWState from = AdamWState{nullptr, rows.m, rows.v}.at(at);
  if (rows.to.m == nullptr) {
    adamw_update(rows.weight + at, from.m, from.v, gradient, size, step);
  } else {
    adamw_move(rows.weight + at, from, rows.to.at(at), gradient, size, step);
  }
}
void decay(const AdamWRows<bf16>& rows, int64_t at, int64_t size, const AdamWStep& step) {
  uint16_t* to = rows.to.m == nullptr ? rows.remainder : rows.to.remainder;
  adamw_decay(rows.weight + at, rows.remainder + at, to + at, size, step);
}
void decay(const AdamWRows<float>& rows, int64_t at, int64_t size, const AdamWStep& step) {
  adamw_decay(rows.weight + at, size, step);
}

// The rows [first, last), all of one word of had_gradient.
template <typename T>
void update_share(const AdamWRows<T>& rows, int64_t first, int64_t last,
                  const RowGradients& gradient, const AdamWStep& step) {
  const int64_t size = gradient.shape().row_size;
  uint64_t& had = rows.had_gradient[first / kRowsOfAShare];
  for (int64_t row = first; row < last; ++row) {
    if (gradient.has_row(row)) had |= uint64_t{1} << (row % kRowsOfAShare);
  }
  const auto has_history = [had](int64_t row) { return (had >> (row % kRowsOfAShare) & 1) != 0; };
  for (int64_t row = first; row < last; ++row) {
    const int64_t from = std::max(row * size, rows.begin);
    if (has_history(row)) {
      const int64_t to = std::min((row + 1) * size, rows.end);
      update(rows, from - rows.begin, to - from, gradient.row(row) + (from - row * size), step);
      continue;
    }
    // A call for each short row would cost as much as what it does.
    while (row + 1 < last && !has_history(row + 1)) ++row;
    const int64_t to = std::min((row + 1) * size, rows.end);
    decay(rows, from - rows.begin, to - from, step);
  }
}

template <typename T>
void update_rows(const AdamWRows<T>& rows, const RowGradients& gradient, const AdamWStep& step) {
  if (rows.begin >= rows.end) return;
  const int64_t size = gradient.shape().row_size;
  const int64_t first = rows.begin / size, last = divide_up(rows.end, size);
  // The frequent rows may lie together: dealt in small shares, no thread gets them all.
#pragma omp parallel for schedule(static, 1)
  for (int64_t share = first / kRowsOfAShare; share <= (last - 1) / kRowsOfAShare; ++share) {
    update_share(rows, std::max(first, share * kRowsOfAShare),
                 std::min(last, (share + 1) * kRowsOfAShare), gradient, step);
  }
}

}  // namespace

void adamw_update_rows(const AdamWRows<bf16>& rows, const RowGradients& gradient,
                       const AdamWStep& step) {
  update_rows(rows, gradient, step);
}
void adamw_update_rows(const AdamWRows<float>& rows, const RowGradients& gradient,
                       const AdamWStep& step) {
  update_rows(rows, gradient, step);
}

}  // namespace borealis
