// What the ranks of a communicator tell each other and agree on, made from its transfers.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "comm/communicator.h"

namespace borealis {

// One value of every rank, by rank.
template <Sendable T>
std::vector<T> all_values(Communicator& ranks, const T& value, std::string_view what) {
  std::vector<T> values(static_cast<size_t>(ranks.size()));
  ranks.all_gather(std::span<const T>(&value, 1), std::span<T>(values), what);
  return values;
}

// Texts, each of its length: that of rank 0, on all, and those of all, by rank.
std::string text_of_first(Communicator& ranks, std::string text, std::string_view what);
std::vector<std::string> all_texts(Communicator& ranks, const std::string& text,
                                   std::string_view what);

// all: on `root` [ranks.size()][mine.size()] by rank, on the others of no size.
template <Sendable T>
void gather(Communicator& ranks, std::span<const T> mine, std::span<T> all, int64_t root,
            std::string_view what) {
  const auto size = static_cast<size_t>(ranks.size());
  std::vector<std::span<const T>> to(size);
  std::vector<std::span<T>> from(size);
  to[static_cast<size_t>(root)] = mine;
  if (ranks.rank() == root) {
    for (size_t r = 0; r < size; ++r) from[r] = all.subspan(r * mine.size(), mine.size());
  }
  ranks
      .start_exchange(std::span<const std::span<const T>>(to), std::span<const std::span<T>>(from),
                      what)
      .wait();
}

// One that all ranks have: they end alike, and one of them tells it.
class AgreedError : public Error {
 public:
  using Error::Error;
};

// Runs `work` on every rank. Where it throws an Error on any, every rank throws the AgreedError
// of the first rank (in their order) that has one, which is named. Anything else
// that it throws is this rank's alone.
void together(Communicator& ranks, std::string_view what, const std::function<void()>& work);

}  // namespace borealis
