// What holds on any communicator, whatever carries its transfers. Run on threads of one process by
// communicator_test.cpp, and under MPI by e2e/mpi_driver.cpp.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/collectives.h"
#include "support/plain_sums.h"

namespace borealis::collective_cases {

using Problems = std::vector<std::string>;

inline void expect(bool holds, const Communicator& ranks, const std::string& what,
                   Problems& problems) {
  if (!holds)
    problems.push_back(fmt::format("rank {} of {}: {}", ranks.rank(), ranks.size(), what));
}

// Modulo a prime: of up to 31 ranks no two share a place's value, of 31 places in a row no two a
// rank's. Sums of 8 ranks are exact in bf16, which has integers to 256.
template <typename T>
T value_of(int64_t rank, int64_t i) {
  return static_cast<T>(static_cast<float>((rank * 7 + i * 12) % 31));
}

template <typename T>
std::vector<T> values_of(int64_t rank, int64_t count) {
  std::vector<T> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(value_of<T>(rank, i));
  return values;
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](T x, T y) {
    return static_cast<double>(static_cast<float>(x)) == static_cast<float>(y);
  });
}

template <typename T>
void sums(Communicator& ranks, int64_t count, Problems& problems) {
  std::vector<T> expected(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int64_t r = 0; r < ranks.size(); ++r) sum += static_cast<float>(value_of<T>(r, i));
    expected[static_cast<size_t>(i)] = static_cast<T>(sum);
  }
  std::vector<T> values = values_of<T>(ranks.rank(), count);
  testing::all_reduce_sum(ranks, std::span<T>(values), "adding");
  expect(same(values, expected), ranks, fmt::format("all_reduce_sum of {}", count), problems);

  // Parts of different sizes, of which the last may be empty.
  const auto begin_of = [&](int64_t r) { return std::min(count, r * (count / ranks.size() + 1)); };
  const std::vector<T> all = values_of<T>(ranks.rank(), count);
  std::vector<std::span<const T>> parts;
  for (int64_t r = 0; r < ranks.size(); ++r) {
    parts.push_back(std::span<const T>(all).subspan(
        static_cast<size_t>(begin_of(r)), static_cast<size_t>(begin_of(r + 1) - begin_of(r))));
  }
  const auto first = expected.begin() + begin_of(ranks.rank());
  std::vector<T> sum(first, expected.begin() + begin_of(ranks.rank() + 1));
  std::vector<T> mine(sum.size(), T(1));
  const std::span<const std::span<const T>> all_parts(parts);
  testing::reduce_scatter_sum(ranks, all_parts, std::span<T>(mine), /*adds=*/false, "adding");
  expect(same(mine, sum), ranks, fmt::format("reduce_scatter_sum of {}", count), problems);
  testing::reduce_scatter_sum(ranks, all_parts, std::span<T>(mine), /*adds=*/true, "adding");
  for (T& value : sum) value = static_cast<T>(static_cast<float>(value) * 2);
  expect(same(mine, sum), ranks, fmt::format("adding reduce_scatter_sum of {}", count), problems);
}

inline void gathers(Communicator& ranks, Problems& problems) {
  for (int64_t root = 0; root < ranks.size(); ++root) {
    std::vector<int64_t> values(5, ranks.rank() == root ? 40 + root : -1);
    ranks.broadcast(std::span<int64_t>(values), root, "telling");
    expect(values == std::vector<int64_t>(5, 40 + root), ranks, "broadcast", problems);
    const std::vector<int32_t> mine(3, static_cast<int32_t>(ranks.rank()));
    std::vector<int32_t> all(ranks.rank() == root ? 3 * static_cast<size_t>(ranks.size()) : 0);
    gather(ranks, std::span<const int32_t>(mine), std::span<int32_t>(all), root, "gathering");
    for (size_t i = 0; i < all.size(); ++i) {
      expect(all[i] == static_cast<int32_t>(i / 3), ranks, "gather", problems);
    }
  }
  const std::vector<int64_t> squares = all_values(ranks, ranks.rank() * ranks.rank(), "telling");
  for (int64_t r = 0; r < ranks.size(); ++r) {
    expect(squares[static_cast<size_t>(r)] == r * r, ranks, "all_values", problems);
  }
}

// Two exchanges under way at once, with parts of every size and of none: rank a sends to rank b
// (a + 2 b) % 4 values.
// Of which one is empty.
inline void texts(Communicator& ranks, Problems& problems) {
  const auto of = [](int64_t rank) {
    return std::string(static_cast<size_t>(rank * 5), char('a' + rank % 26));
  };
  const std::vector<std::string> all = all_texts(ranks, of(ranks.rank()), "telling");
  bool right = std::ssize(all) == ranks.size();
  for (int64_t rank = 0; right && rank < ranks.size(); ++rank) {
    right = all[static_cast<size_t>(rank)] == of(rank);
  }
  expect(right, ranks, "texts of all ranks", problems);
  expect(text_of_first(ranks, "rank " + of(ranks.rank()), "telling") == "rank ", ranks,
         "the first rank's text", problems);
}

inline void exchanges(Communicator& ranks, Problems& problems) {
  const auto size = static_cast<size_t>(ranks.size());
  const auto length = [](size_t a, size_t b) { return (a + 2 * b) % 4; };
  const auto own = static_cast<size_t>(ranks.rank());
  std::vector<std::vector<float>> sent(size), received(size), again(size);
  std::vector<std::span<const float>> to;
  std::vector<std::span<float>> from, from_again;
  for (size_t r = 0; r < size; ++r) {
    sent[r].assign(length(own, r), static_cast<float>(100 * own + r));
    received[r].resize(length(r, own));
    again[r].resize(length(r, own));
    to.emplace_back(sent[r]);
    from.emplace_back(received[r]);
    from_again.emplace_back(again[r]);
  }
  using To = std::span<const std::span<const float>>;
  Request first = ranks.start_exchange(To(to), std::span<const std::span<float>>(from), "a");
  Request second = ranks.start_exchange(To(to), std::span<const std::span<float>>(from_again), "b");
  second.wait();
  first.wait();
  for (size_t r = 0; r < size; ++r) {
    const std::vector<float> expected(length(r, own), static_cast<float>(100 * r + own));
    expect(received[r] == expected && again[r] == expected, ranks, "exchange", problems);
  }
}

inline void splits(Communicator& ranks, Problems& problems) {
  const auto part = ranks.split(ranks.rank() % 2);
  expect(part->size() == (ranks.size() + 1 - ranks.rank() % 2) / 2, ranks, "size of a part",
         problems);
  expect(part->rank() == ranks.rank() / 2, ranks, "rank in a part", problems);
  for (const int64_t other : all_values(*part, ranks.rank(), "telling")) {
    expect(other % 2 == ranks.rank() % 2, ranks, "ranks of a part", problems);
  }
  ranks.barrier("meeting");
  part->barrier("meeting");
}

// The Error of the first rank that has one is everybody's.
inline void failures(Communicator& ranks, Problems& problems) {
  together(ranks, "working", [] {});
  const int64_t first = ranks.size() / 2;
  try {
    together(ranks, "working", [&] {
      if (ranks.rank() >= first)
        throw Error(ErrorKind::kData, fmt::format("no {}", ranks.rank()), "go");
    });
    problems.emplace_back("together() returned");
  } catch (const Error& error) {
    const std::string who = first > 0 ? fmt::format("rank {}: ", first) : "";
    expect(error.what() == fmt::format("data: {}no {}; go", who, first), ranks, error.what(),
           problems);
  }
}

inline Problems check_all(Communicator& ranks) {
  Problems problems;
  for (const int64_t count : {0, 1, 5, 24, 1000, 300001}) {
    sums<float>(ranks, count, problems);
    sums<bf16>(ranks, count, problems);
    sums<int32_t>(ranks, count, problems);
  }
  sums<double>(ranks, 100, problems);
  sums<int64_t>(ranks, 100, problems);
  gathers(ranks, problems);
  texts(ranks, problems);
  exchanges(ranks, problems);
  splits(ranks, problems);
  failures(ranks, problems);
  return problems;
}

}  // namespace borealis::collective_cases
