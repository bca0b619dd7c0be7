#include "parallel/gradient_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/check.h"

namespace borealis {
namespace {

constexpr const char* kWhat = "adding gradients";

using Parts = std::span<const std::span<const float>>;

// mine = the sums of the columns of received [ranks][mine.size()], or what they add up to with it.
void add_up(std::span<const float> received, std::span<float> mine, SumInto into) {
  constexpr size_t kAtATime = 1024;
  std::array<float, kAtATime> sums;
  for (size_t at = 0; at < mine.size(); at += kAtATime) {
    const size_t size = std::min(kAtATime, mine.size() - at);
    std::fill_n(sums.begin(), size, 0.0f);
    for (size_t row = at; row < received.size(); row += mine.size()) {
      for (size_t i = 0; i < size; ++i) sums[i] += received[row + i];
    }
    if (into == SumInto::kAdd) {
      for (size_t i = 0; i < size; ++i) sums[i] += mine[at + i];
    }
    std::copy_n(sums.begin(), size, mine.begin() + static_cast<int64_t>(at));
  }
}

// Element `piece` of a part and those behind it that travel with it; empty behind its end.
template <typename T>
std::span<T> piece_of(std::span<T> part, size_t at, int64_t elements) {
  const size_t begin = std::min(at, part.size());
  return part.subspan(begin, std::min(static_cast<size_t>(elements), part.size() - begin));
}

int64_t bytes_of(size_t elements) { return static_cast<int64_t>(elements * sizeof(float)); }

Request start_exchange(Communicator& ranks, const std::vector<std::span<const float>>& to,
                       const std::vector<std::span<float>>& from) {
  return ranks.start_exchange(Parts(to), std::span<const std::span<float>>(from), kWhat);
}

// The ranks' rows of an embedding, a bit a row, and what follows from them alike on all ranks: row
// i is added up by rank i % ranks.
class RowsOfRanks {
 public:
  RowsOfRanks(Communicator& ranks, const RowGradients& rows, const SumBuffers& buffers)
      : size_(static_cast<size_t>(ranks.size())),
        words_(static_cast<size_t>(buffers.row_words())),
        bits_(buffers.rows_of_ranks()) {
    const std::span<uint64_t> mine =
        bits_.subspan(static_cast<size_t>(ranks.rank()) * words_, words_);
    std::ranges::fill(mine, 0);
    for (const int32_t id : rows.ids()) mine[word_of(id)] |= bit_of(id);
    // Its own part is where it belongs already: an exchange, unlike a gathering, may say so.
    const std::vector<std::span<const uint64_t>> to(size_, mine);
    std::vector<std::span<uint64_t>> from;
    for (size_t r = 0; r < size_; ++r) from.push_back(bits_.subspan(r * words_, words_));
    ranks
        .start_exchange(std::span<const std::span<const uint64_t>>(to),
                        std::span<const std::span<uint64_t>>(from), kWhat)
        .wait();
  }

  bool has(size_t rank, int32_t id) const {
    return (bits_[rank * words_ + word_of(id)] & bit_of(id)) != 0;
  }
  size_t owner(int32_t id) const { return static_cast<size_t>(id) % size_; }
  // visit(id) for every row that any rank has, in order.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (size_t word = 0; word < words_; ++word) {
      uint64_t any = 0;
      for (size_t r = 0; r < size_; ++r) any |= bits_[r * words_ + word];
      for (; any != 0; any &= any - 1) {
        visit(static_cast<int32_t>(64 * word + static_cast<size_t>(std::countr_zero(any))));
      }
    }
  }

 private:
  static size_t word_of(int32_t id) { return static_cast<size_t>(id) / 64; }
  static uint64_t bit_of(int32_t id) { return uint64_t{1} << (static_cast<size_t>(id) % 64); }

  size_t size_, words_;
  std::span<uint64_t> bits_;
};

// Adds up some rows at a time of each owner.
class RowSum {
 public:
  RowSum(Communicator& ranks, RowGradients& rows, const SumBuffers& buffers)
      : ranks_(ranks),
        rows_(rows),
        size_(static_cast<size_t>(ranks.size())),
        own_(static_cast<size_t>(ranks.rank())),
        width_(static_cast<size_t>(rows.shape().row_size)),
        most_rows_(static_cast<size_t>(buffers.piece_elements()) / width_),
        of_ranks_(ranks, rows, buffers),
        sent_(buffers.pieces_of_ranks(0)),
        received_(buffers.pieces_of_ranks(1)),
        sums_(buffers.own_piece()),
        some_(size_) {}

  int64_t run() {
    std::vector<std::vector<int32_t>> owned(size_);
    of_ranks_.for_each([&](int32_t id) { owned[of_ranks_.owner(id)].push_back(id); });
    size_t most = 0;
    for (const std::vector<int32_t>& ids : owned) most = std::max(most, ids.size());
    for (size_t at = 0; at < most; at += most_rows_) {
      for (size_t r = 0; r < size_; ++r) {
        const size_t begin = std::min(at, owned[r].size());
        some_[r] = std::span<const int32_t>(owned[r]).subspan(
            begin, std::min(most_rows_, owned[r].size() - begin));
      }
      add_up_at_owners();
      share();
    }
    return received_bytes_;
  }

 private:
  float* row(int32_t id) {
    return rows_.values() + static_cast<size_t>(rows_.slots({&id, 1})[0]) * width_;
  }
  std::span<float> place(std::span<float> pieces, size_t rank, size_t rows) const {
    return pieces.subspan(rank * most_rows_ * width_, rows * width_);
  }

  void exchange(const std::vector<std::span<const float>>& to,
                const std::vector<std::span<float>>& from) {
    start_exchange(ranks_, to, from).wait();
    for (size_t r = 0; r < size_; ++r) {
      if (r != own_) received_bytes_ += bytes_of(from[r].size());
    }
  }

  void add_up_at_owners() {
    std::vector<std::span<const float>> to;
    std::vector<std::span<float>> from;
    for (size_t r = 0; r < size_; ++r) {
      size_t sent = 0;
      for (const int32_t id : some_[r]) {
        if (!of_ranks_.has(own_, id)) continue;
        std::copy_n(row(id), width_,
                    place(sent_, r, most_rows_).begin() + static_cast<int64_t>(sent++ * width_));
      }
      to.push_back(place(sent_, r, sent));
      const auto expected = static_cast<size_t>(
          std::ranges::count_if(some_[own_], [&](int32_t id) { return of_ranks_.has(r, id); }));
      from.push_back(place(received_, r, expected));
    }
    exchange(to, from);
    std::vector<const float*> next;
    for (const std::span<float> part : from) next.push_back(part.data());
    float* sum = sums_.data();
    for (const int32_t id : some_[own_]) {
      std::fill_n(sum, width_, 0.0f);
      for (size_t r = 0; r < size_; ++r) {
        if (!of_ranks_.has(r, id)) continue;
        for (size_t i = 0; i < width_; ++i) sum[i] += next[r][i];
        next[r] += width_;
      }
      sum += width_;
    }
  }

  void share() {
    const std::vector<std::span<const float>> to(size_, sums_.first(some_[own_].size() * width_));
    std::vector<std::span<float>> from;
    for (size_t r = 0; r < size_; ++r) from.push_back(place(received_, r, some_[r].size()));
    exchange(to, from);
    for (size_t r = 0; r < size_; ++r) {
      const float* sum = from[r].data();
      for (const int32_t id : some_[r]) {
        std::copy_n(sum, width_, row(id));
        sum += width_;
      }
    }
  }

  Communicator& ranks_;
  RowGradients& rows_;
  size_t size_, own_, width_, most_rows_;
  RowsOfRanks of_ranks_;
  std::span<float> sent_, received_;            // [ranks][most_rows_][width_]
  std::span<float> sums_;                       // [most_rows_][width_]
  std::vector<std::span<const int32_t>> some_;  // by owner
  int64_t received_bytes_ = 0;
};

}  // namespace

int64_t sum_at_owners(Communicator& ranks, std::span<const std::span<const float>> parts,
                      std::span<float> mine, SumInto into, const SumBuffers& buffers) {
  const auto size = static_cast<size_t>(ranks.size());
  CHECK(parts.size() == size);
  CHECK(parts[static_cast<size_t>(ranks.rank())].size() == mine.size());
  if (size == 1) return 0;
  const auto step = static_cast<size_t>(buffers.piece_elements());
  size_t longest = 0;
  for (const std::span<const float> part : parts) longest = std::max(longest, part.size());
  // What is received for the piece that begins at `at`, of all ranks.
  const auto received = [&](size_t at) {
    const size_t elements = size * piece_of(mine, at, buffers.piece_elements()).size();
    return buffers.pieces_of_ranks(static_cast<int64_t>(at / step % 2)).first(elements);
  };
  std::vector<std::span<const float>> to(size);
  std::vector<std::span<float>> from(size);
  const auto start = [&](size_t at) {
    const std::span<float> pieces = received(at);
    for (size_t r = 0; r < size; ++r) {
      to[r] = piece_of(parts[r], at, buffers.piece_elements());
      from[r] = pieces.subspan(r * (pieces.size() / size), pieces.size() / size);
    }
    return start_exchange(ranks, to, from);
  };
  Request next;
  if (longest > 0) next = start(0);
  for (size_t at = 0; at < longest; at += step) {
    Request present = std::move(next);
    if (at + step < longest) next = start(at + step);
    present.wait();
    add_up(received(at), piece_of(mine, at, buffers.piece_elements()), into);
  }
  return bytes_of((size - 1) * mine.size());
}

int64_t sum_on_all(Communicator& ranks, std::span<float> values, const SumBuffers& buffers) {
  const auto size = static_cast<size_t>(ranks.size());
  if (size == 1) return 0;
  constexpr size_t kLine = 16;
  const size_t share = ((values.size() + size - 1) / size + kLine - 1) / kLine * kLine;
  std::vector<std::span<float>> parts;
  for (size_t r = 0; r < size; ++r) {
    parts.push_back(piece_of(values, r * share, static_cast<int64_t>(share)));
  }
  const std::vector<std::span<const float>> given(parts.begin(), parts.end());
  const std::span<float> mine = parts[static_cast<size_t>(ranks.rank())];
  const int64_t received = sum_at_owners(ranks, given, mine, SumInto::kReplace, buffers);
  start_exchange(ranks, std::vector<std::span<const float>>(size, mine), parts).wait();
  return received + bytes_of(values.size() - mine.size());
}

int64_t sum_row_gradients(Communicator& ranks, RowGradients& rows, const SumBuffers& buffers) {
  if (ranks.size() == 1) return 0;
  return RowSum(ranks, rows, buffers).run();
}

}  // namespace borealis
