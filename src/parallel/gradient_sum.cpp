#include "parallel/gradient_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/rounding.h"
#include "kernels/elementwise.h"

namespace borealis {
namespace {

constexpr const char* kWhat = "adding gradients";

constexpr size_t kAtATime = 1024;  // elements, in the first cache

// In parts so small that they stay in this thread: the step's have work of their own.
template <typename From, typename To>
void convert_here(const From* from, To* to, size_t size) {
  if constexpr (std::same_as<From, To>) {
    std::copy_n(from, size, to);
  } else {
    for (size_t at = 0; at < size; at += kAtATime) {
      convert(from + at, to + at, static_cast<int64_t>(std::min(kAtATime, size - at)));
    }
  }
}

// sums = those of elements [at, at + sums.size()) of the rows, rounded to T; kAtATime at most.
template <typename T>
void add_up_columns(std::span<const T* const> rows, size_t at, std::span<float> sums) {
  std::ranges::fill(sums, 0.0f);
  const auto add = [sums](const float* values) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
  };
  if constexpr (std::same_as<T, float>) {
    for (const float* row : rows) add(row + at);
  } else {
    std::array<float, kAtATime> whole;
    for (const T* row : rows) {
      convert_here(row + at, whole.data(), sums.size());
      add(whole.data());
    }
    std::array<T, kAtATime> rounded;
    convert_here(sums.data(), rounded.data(), sums.size());
    convert_here(rounded.data(), sums.data(), sums.size());
  }
}

// visit(at, sums) with the sums of elements [at, at + sums.size()) of the rows, in order.
template <typename T, typename Visit>
void for_each_sum(std::span<const T* const> rows, size_t size, const Visit& visit) {
  std::array<float, kAtATime> sums;
  for (size_t at = 0; at < size; at += kAtATime) {
    const std::span<float> some = std::span(sums).first(std::min(kAtATime, size - at));
    add_up_columns(rows, at, some);
    visit(at, std::span<const float>(some));
  }
}

// mine = the sums of the columns of received [ranks][mine.size()], or what they add up to with it.
template <typename T>
void add_up(std::span<const T> received, std::span<float> mine, SumInto into) {
  if (mine.empty()) return;
  std::vector<const T*> rows;
  for (size_t row = 0; row < received.size(); row += mine.size()) {
    rows.push_back(received.data() + row);
  }
  for_each_sum(std::span<const T* const>(rows), mine.size(),
               [&](size_t at, std::span<const float> sums) {
                 const std::span<float> out = mine.subspan(at, sums.size());
                 if (into == SumInto::kReplace) {
                   std::ranges::copy(sums, out.begin());
                 } else {
                   std::ranges::transform(sums, out, out.begin(), std::plus<>());
                 }
               });
}

// Element `at` of a part and those behind it that travel with it; empty behind its end.
template <typename T>
std::span<T> piece_of(std::span<T> part, size_t at, int64_t elements) {
  const size_t begin = std::min(at, part.size());
  return part.subspan(begin, std::min(static_cast<size_t>(elements), part.size() - begin));
}

template <typename T>
int64_t bytes_of(size_t elements) {
  return static_cast<int64_t>(elements * sizeof(T));
}

template <typename T>
Request start_exchange(Communicator& ranks, const std::vector<std::span<const T>>& to,
                       const std::vector<std::span<T>>& from) {
  return ranks.start_exchange(std::span<const std::span<const T>>(to),
                              std::span<const std::span<T>>(from), kWhat);
}

// What is sent to a rank of a piece for it: the piece itself, or rounded into `place`.
std::span<const float> to_send(std::span<const float> piece, std::span<float>) { return piece; }
std::span<const bf16> to_send(std::span<const float> piece, std::span<bf16> place) {
  const std::span<bf16> rounded = place.first(piece.size());
  convert_here(piece.data(), rounded.data(), piece.size());
  return rounded;
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

// Adds up some rows at a time of each owner. T travels.
template <typename T>
class RowSum {
 public:
  RowSum(Communicator& ranks, RowGradients& rows, float* values, const SumBuffers& buffers)
      : ranks_(ranks),
        rows_(rows),
        values_(values),
        size_(static_cast<size_t>(ranks.size())),
        own_(static_cast<size_t>(ranks.rank())),
        width_(static_cast<size_t>(rows.shape().row_size)),
        most_rows_(static_cast<size_t>(buffers.piece_elements()) / width_),
        of_ranks_(ranks, rows, buffers),
        sent_(buffers.pieces_of_ranks<T>(0)),
        received_(buffers.pieces_of_ranks<T>(1)),
        sums_(buffers.own_piece<T>()),
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
    return values_ + static_cast<size_t>(rows_.slots({&id, 1})[0]) * width_;
  }
  std::span<T> place(std::span<T> pieces, size_t rank, size_t rows) const {
    return pieces.subspan(rank * most_rows_ * width_, rows * width_);
  }

  void exchange(const std::vector<std::span<const T>>& to, const std::vector<std::span<T>>& from) {
    start_exchange(ranks_, to, from).wait();
    for (size_t r = 0; r < size_; ++r) {
      if (r != own_) received_bytes_ += bytes_of<T>(from[r].size());
    }
  }

  void add_up_at_owners() {
    std::vector<std::span<const T>> to;
    std::vector<std::span<T>> from;
    for (size_t r = 0; r < size_; ++r) {
      size_t sent = 0;
      for (const int32_t id : some_[r]) {
        if (!of_ranks_.has(own_, id)) continue;
        convert_here(row(id), place(sent_, r, most_rows_).data() + sent++ * width_, width_);
      }
      to.push_back(place(sent_, r, sent));
      const auto expected = static_cast<size_t>(
          std::ranges::count_if(some_[own_], [&](int32_t id) { return of_ranks_.has(r, id); }));
      from.push_back(place(received_, r, expected));
    }
    exchange(to, from);
    std::vector<const T*> next, rows;
    for (const std::span<T> part : from) next.push_back(part.data());
    std::span<T> sum = sums_;
    for (const int32_t id : some_[own_]) {
      rows.clear();
      for (size_t r = 0; r < size_; ++r) {
        if (!of_ranks_.has(r, id)) continue;
        rows.push_back(next[r]);
        next[r] += width_;
      }
      for_each_sum(std::span<const T* const>(rows), width_,
                   [&](size_t at, std::span<const float> part) {
                     convert_here(part.data(), sum.data() + at, part.size());
                   });
      sum = sum.subspan(width_);
    }
  }

  void share() {
    const std::vector<std::span<const T>> to(size_, sums_.first(some_[own_].size() * width_));
    std::vector<std::span<T>> from;
    for (size_t r = 0; r < size_; ++r) from.push_back(place(received_, r, some_[r].size()));
    exchange(to, from);
    for (size_t r = 0; r < size_; ++r) {
      std::span<const T> sums = from[r];
      for (const int32_t id : some_[r]) {
        convert_here(sums.data(), row(id), width_);
        sums = sums.subspan(width_);
      }
    }
  }

  Communicator& ranks_;
  RowGradients& rows_;
  float* values_;
  size_t size_, own_, width_, most_rows_;
  RowsOfRanks of_ranks_;
  std::span<T> sent_, received_;                // [ranks][most_rows_][width_]
  std::span<T> sums_;                           // [most_rows_][width_]
  std::vector<std::span<const int32_t>> some_;  // by owner
  int64_t received_bytes_ = 0;
};

using Parts = std::span<const std::span<const float>>;

// `mine` may be this rank's own part: of two pieces under way the later one is taken from it before
// the earlier one is put into it.
template <typename T>
int64_t sum_pieces_at_owners(Communicator& ranks, Parts parts, std::span<float> mine, SumInto into,
                             const SumBuffers& buffers) {
  const auto size = static_cast<size_t>(ranks.size());
  const auto step = static_cast<size_t>(buffers.piece_elements());
  size_t longest = 0;
  for (const std::span<const float> part : parts) longest = std::max(longest, part.size());
  const auto turn_of = [step](size_t at) { return static_cast<int64_t>(at / step % 2); };
  // What is received for the piece that begins at `at`, of all ranks.
  const auto received = [&](size_t at) {
    const size_t elements = size * piece_of(mine, at, buffers.piece_elements()).size();
    return buffers.pieces_of_ranks<T>(turn_of(at)).first(elements);
  };
  const auto place_to_send = [&](size_t at, size_t rank) {
    if constexpr (std::same_as<T, float>) {
      return std::span<float>();
    } else {
      return buffers.sent_pieces(turn_of(at)).subspan(rank * step, step);
    }
  };
  std::vector<std::span<const T>> to(size);
  std::vector<std::span<T>> from(size);
  const auto start = [&](size_t at) {
    const std::span<T> pieces = received(at);
    for (size_t r = 0; r < size; ++r) {
      to[r] = to_send(piece_of(parts[r], at, buffers.piece_elements()), place_to_send(at, r));
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
    add_up<T>(received(at), piece_of(mine, at, buffers.piece_elements()), into);
  }
  return bytes_of<T>((size - 1) * mine.size());
}

// Every rank's part to all others; what it holds is of T already.
template <typename T>
int64_t share_parts(Communicator& ranks, const std::vector<std::span<float>>& parts,
                    const SumBuffers& buffers) {
  const auto own = static_cast<size_t>(ranks.rank());
  size_t elements = 0;
  for (const std::span<float> part : parts) elements += part.size();
  const int64_t received_bytes = bytes_of<T>(elements - parts[own].size());
  if constexpr (std::same_as<T, float>) {
    start_exchange(ranks, std::vector<std::span<const T>>(parts.size(), parts[own]), parts).wait();
  } else {
    const auto step = static_cast<size_t>(buffers.piece_elements());
    const std::span<T> received = buffers.pieces_of_ranks<T>(0);
    for (size_t at = 0; at < parts.front().size(); at += step) {
      const std::span<const float> mine = piece_of(parts[own], at, buffers.piece_elements());
      const std::vector<std::span<const T>> to(parts.size(), to_send(mine, buffers.own_piece<T>()));
      std::vector<std::span<float>> out;
      std::vector<std::span<T>> from;
      for (size_t r = 0; r < parts.size(); ++r) {
        out.push_back(piece_of(parts[r], at, buffers.piece_elements()));
        from.push_back(received.subspan(r * step, out[r].size()));
      }
      start_exchange(ranks, to, from).wait();
      for (size_t r = 0; r < parts.size(); ++r) {
        convert_here(from[r].data(), out[r].data(), out[r].size());
      }
    }
  }
  return received_bytes;
}

}  // namespace

int64_t sum_at_owners(Communicator& ranks, Parts parts, std::span<float> mine, SumInto into,
                      const SumBuffers& buffers) {
  CHECK(std::ssize(parts) == ranks.size());
  CHECK(parts[static_cast<size_t>(ranks.rank())].size() == mine.size());
  if (ranks.size() == 1) return 0;
  return buffers.dtype() == DType::kBF16
             ? sum_pieces_at_owners<bf16>(ranks, parts, mine, into, buffers)
             : sum_pieces_at_owners<float>(ranks, parts, mine, into, buffers);
}

int64_t sum_on_all(Communicator& ranks, std::span<float> values, const SumBuffers& buffers) {
  const auto size = static_cast<size_t>(ranks.size());
  if (size == 1) return 0;
  constexpr size_t kLine = 16;
  const size_t share = round_up(divide_up(values.size(), size), kLine);
  std::vector<std::span<float>> parts;  // the first is the longest
  for (size_t r = 0; r < size; ++r) {
    parts.push_back(piece_of(values, r * share, static_cast<int64_t>(share)));
  }
  const std::vector<std::span<const float>> given(parts.begin(), parts.end());
  const std::span<float> mine = parts[static_cast<size_t>(ranks.rank())];
  const int64_t received = sum_at_owners(ranks, given, mine, SumInto::kReplace, buffers);
  return received + (buffers.dtype() == DType::kBF16 ? share_parts<bf16>(ranks, parts, buffers)
                                                     : share_parts<float>(ranks, parts, buffers));
}

int64_t sum_row_gradients(Communicator& ranks, RowGradients& rows, float* values,
                          const SumBuffers& buffers) {
  if (ranks.size() == 1) return 0;
  return buffers.dtype() == DType::kBF16 ? RowSum<bf16>(ranks, rows, values, buffers).run()
                                         : RowSum<float>(ranks, rows, values, buffers).run();
}
std::vector<int32_t> rows_of_any_rank(Communicator& ranks, const RowGradients& rows,
                                      const SumBuffers& buffers) {
  std::vector<int32_t> ids;
  RowsOfRanks(ranks, rows, buffers).for_each([&](int32_t id) { ids.push_back(id); });
  return ids;
}
int64_t sum_row_gradients(Communicator& ranks, RowGradients& rows, const SumBuffers& buffers) {
  return sum_row_gradients(ranks, rows, rows.values(), buffers);
}

}  // namespace borealis
