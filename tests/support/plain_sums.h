// Sums over the ranks of a communicator as one would write them first: what training's
// (parallel/gradient_sum.h) are held against, and work for a communicator's transfers. A sum is
// made in the order of the ranks and is the same bits on all of them; bf16 is summed in f32 and
// rounded once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/dtype.h"
#include "comm/communicator.h"

namespace borealis::testing {

// mine[i] = sum over ranks of part(r)[i], where part(r) is what rank r adds to.
template <typename T, typename PartOf>
void sum_parts(Communicator& ranks, const PartOf& part_of, std::span<T> mine, bool adds,
               std::string_view what) {
  using Sum = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  const auto size = static_cast<size_t>(ranks.size());
  std::vector<T> received(size * mine.size());
  std::vector<std::span<const T>> to(size);
  std::vector<std::span<T>> from(size);
  for (size_t r = 0; r < size; ++r) {
    to[r] = part_of(r);
    from[r] = std::span<T>(received).subspan(r * mine.size(), mine.size());
  }
  ranks
      .start_exchange(std::span<const std::span<const T>>(to), std::span<const std::span<T>>(from),
                      what)
      .wait();
  for (size_t i = 0; i < mine.size(); ++i) {
    Sum sum = 0;
    for (size_t r = 0; r < size; ++r) sum += static_cast<Sum>(received[r * mine.size() + i]);
    if (adds) sum = static_cast<Sum>(mine[i]) + sum;
    mine[i] = static_cast<T>(sum);
  }
}

// parts: by rank, of sizes that all ranks agree on. Rank r gets the sum of what the ranks have for
// part r, instead of what is in `mine` or added to it.
template <typename T>
void reduce_scatter_sum(Communicator& ranks, std::span<const std::span<const T>> parts,
                        std::span<T> mine, bool adds, std::string_view what) {
  CHECK(std::ssize(parts) == ranks.size());
  sum_parts(
      ranks, [&](size_t r) { return parts[r]; }, mine, adds, what);
}

// Of each element over the ranks, in place.
template <typename T>
void all_reduce_sum(Communicator& ranks, std::span<T> values, std::string_view what) {
  const auto size = static_cast<size_t>(ranks.size());
  // The first ranks have one element more where they cannot be equal.
  const auto part_of = [&](size_t r) {
    const size_t share = values.size() / size, rest = values.size() % size;
    return values.subspan(r * share + std::min(r, rest), share + (r < rest ? 1 : 0));
  };
  const std::span<T> mine = part_of(static_cast<size_t>(ranks.rank()));
  sum_parts(
      ranks, [&](size_t r) { return std::span<const T>(part_of(r)); }, mine, /*adds=*/false, what);
  std::vector<std::span<const T>> to(size, mine);
  std::vector<std::span<T>> from(size);
  for (size_t r = 0; r < size; ++r) from[r] = part_of(r);
  ranks
      .start_exchange(std::span<const std::span<const T>>(to), std::span<const std::span<T>>(from),
                      what)
      .wait();
}

}  // namespace borealis::testing
