#include "comm/collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/error.h"

namespace borealis {
namespace {

// What a rank takes at a time of the part that it sums up, of each rank.
constexpr size_t kPieceBytes = size_t{256} << 10;

template <typename T>
struct Accumulator {
  using type = T;
};
template <>
struct Accumulator<bf16> {
  using type = float;
};

// The sums of columns of [ranks][mine.size()].
template <typename T>
void sum_rows(std::span<const T> rows, std::span<T> mine, SumInto into) {
  using Sum = typename Accumulator<T>::type;
  std::vector<Sum> sums(mine.size());
  for (size_t at = 0; at < rows.size(); at += mine.size()) {
    for (size_t i = 0; i < mine.size(); ++i) sums[i] += static_cast<Sum>(rows[at + i]);
  }
  if (into == SumInto::kAdd) {
    for (size_t i = 0; i < mine.size(); ++i) sums[i] = static_cast<Sum>(mine[i]) + sums[i];
  }
  std::ranges::transform(sums, mine.begin(), [](Sum sum) { return static_cast<T>(sum); });
}

// mine[i] = sum over ranks of part(r)[i], where part(r) is what rank r adds to; piece by piece.
template <typename T, typename PartOf>
void sum_parts(Communicator& ranks, const PartOf& part_of, std::span<T> mine, SumInto into,
               std::string_view what) {
  const auto size = static_cast<size_t>(ranks.size());
  size_t longest = 0;
  for (size_t r = 0; r < size; ++r) longest = std::max(longest, part_of(r).size());
  const size_t piece = std::min(longest, kPieceBytes / sizeof(T));
  std::vector<T> received(size * std::min(piece, mine.size()));
  std::vector<std::span<const T>> to(size);
  std::vector<std::span<T>> from(size);
  for (size_t at = 0; at < longest; at += piece) {
    const auto cut = [&](auto part) {
      const size_t begin = std::min(at, part.size());
      return part.subspan(begin, std::min(piece, part.size() - begin));
    };
    const std::span<T> sums = cut(mine);
    for (size_t r = 0; r < size; ++r) {
      to[r] = cut(part_of(r));
      from[r] = std::span<T>(received).subspan(r * sums.size(), sums.size());
    }
    ranks
        .start_exchange(std::span<const std::span<const T>>(to),
                        std::span<const std::span<T>>(from), what)
        .wait();
    sum_rows(std::span<const T>(received).first(size * sums.size()), sums, into);
  }
}

}  // namespace

template <Summable T>
void reduce_scatter_sum(Communicator& ranks, std::span<const std::span<const T>> parts,
                        std::span<T> mine, SumInto into, std::string_view what) {
  CHECK(std::ssize(parts) == ranks.size());
  CHECK(parts[static_cast<size_t>(ranks.rank())].size() == mine.size());
  sum_parts(
      ranks, [&](size_t r) { return parts[r]; }, mine, into, what);
}

template <Summable T>
void all_reduce_sum(Communicator& ranks, std::span<T> values, std::string_view what) {
  if (ranks.size() == 1) return;
  const auto size = static_cast<size_t>(ranks.size());
  // The first ranks have one element more where they cannot be equal.
  const auto part_of = [&](size_t r) {
    const size_t share = values.size() / size, rest = values.size() % size;
    return values.subspan(r * share + std::min(r, rest), share + (r < rest ? 1 : 0));
  };
  const std::span<T> mine = part_of(static_cast<size_t>(ranks.rank()));
  sum_parts(
      ranks, [&](size_t r) { return std::span<const T>(part_of(r)); }, mine, SumInto::kReplace,
      what);
  std::vector<std::span<const T>> to(size, mine);
  std::vector<std::span<T>> from(size);
  for (size_t r = 0; r < size; ++r) from[r] = part_of(r);
  ranks
      .start_exchange(std::span<const std::span<const T>>(to), std::span<const std::span<T>>(from),
                      what)
      .wait();
}

template void reduce_scatter_sum(Communicator&, std::span<const std::span<const float>>,
                                 std::span<float>, SumInto, std::string_view);
template void reduce_scatter_sum(Communicator&, std::span<const std::span<const double>>,
                                 std::span<double>, SumInto, std::string_view);
template void reduce_scatter_sum(Communicator&, std::span<const std::span<const bf16>>,
                                 std::span<bf16>, SumInto, std::string_view);
template void reduce_scatter_sum(Communicator&, std::span<const std::span<const int32_t>>,
                                 std::span<int32_t>, SumInto, std::string_view);
template void reduce_scatter_sum(Communicator&, std::span<const std::span<const int64_t>>,
                                 std::span<int64_t>, SumInto, std::string_view);
template void all_reduce_sum(Communicator&, std::span<float>, std::string_view);
template void all_reduce_sum(Communicator&, std::span<double>, std::string_view);
template void all_reduce_sum(Communicator&, std::span<bf16>, std::string_view);
template void all_reduce_sum(Communicator&, std::span<int32_t>, std::string_view);
template void all_reduce_sum(Communicator&, std::span<int64_t>, std::string_view);

std::string text_of_first(Communicator& ranks, std::string text, std::string_view what) {
  int64_t length = std::ssize(text);
  ranks.broadcast(std::span(&length, 1), 0, what);
  text.resize(static_cast<size_t>(length));
  ranks.broadcast(std::span<char>(text), 0, what);
  return text;
}

std::vector<std::string> all_texts(Communicator& ranks, const std::string& text,
                                   std::string_view what) {
  const std::vector<int64_t> lengths = all_values<int64_t>(ranks, std::ssize(text), what);
  const auto longest = static_cast<size_t>(*std::ranges::max_element(lengths));
  std::string mine = text;
  mine.resize(longest);
  std::vector<char> all(longest * lengths.size());
  ranks.all_gather(std::span<const char>(mine), std::span<char>(all), what);
  std::vector<std::string> texts;
  for (size_t r = 0; r < lengths.size(); ++r) {
    texts.emplace_back(all.data() + r * longest, static_cast<size_t>(lengths[r]));
  }
  return texts;
}

void together(Communicator& ranks, std::string_view what, const std::function<void()>& work) {
  struct Outcome {
    int32_t failed = 0;
    ErrorKind kind = ErrorKind::kUsage;
    int64_t length = 0;
  };
  Outcome mine;
  std::string text;
  try {
    work();
  } catch (const Error& error) {
    text = error.text();
    mine = {1, error.kind(), std::ssize(text)};
  }
  const std::vector<Outcome> outcomes = all_values(ranks, mine, what);
  const auto first = std::ranges::find(outcomes, 1, &Outcome::failed);
  if (first == outcomes.end()) return;
  const int64_t rank = first - outcomes.begin();
  text.resize(static_cast<size_t>(first->length));
  ranks.broadcast(std::span<char>(text), rank, what);
  if (rank > 0) text = fmt::format("rank {}: {}", rank, text);
  throw AgreedError(first->kind, text);
}

}  // namespace borealis
