#include "parallel/group_exchange.h"

#include <algorithm>
#include <chrono>
#include <concepts>

#include "base/check.h"
#include "base/rounding.h"
#include "parallel/gradient_sum.h"
#include "parallel/unit_parts.h"

namespace borealis {
namespace {

template <typename T>
int64_t bytes_of(int64_t elements) {
  return elements * static_cast<int64_t>(sizeof(T));
}

}  // namespace

template <typename T>
void GroupExchange::exchange(const std::vector<std::span<const T>>& to,
                             const std::vector<std::span<T>>& from) {
  std::vector<std::span<const std::byte>> to_bytes;
  std::vector<std::span<std::byte>> from_bytes;
  for (const std::span<const T> part : to) to_bytes.push_back(std::as_bytes(part));
  for (const std::span<T> part : from) from_bytes.push_back(std::as_writable_bytes(part));
  group_.exchange(to_bytes, from_bytes);
}

// Part r of every rank goes to rank r, which adds them up; on_all: in its own part (sum), and gives
// the sums to all.
template <typename T>
void GroupExchange::sum_parts(const Parts& parts, float* sum, SumInto into, bool on_all) {
  const auto size = parts.size(), own = static_cast<size_t>(ranks_.rank());
  const auto stride = static_cast<size_t>(buffers_.share());
  const std::span<float> mine = parts[own];
  const auto place = [&](T* pieces, size_t rank, size_t elements) {
    return std::span<T>(pieces + rank * stride, elements);
  };
  std::vector<std::span<const T>> to(size);
  std::vector<std::span<T>> from(size);
  for (size_t r = 0; r < size; ++r) {
    CHECK(parts[r].size() <= stride);
    from[r] = place(buffers_.received<T>(), r, mine.size());
    if constexpr (std::same_as<T, float>) {
      to[r] = parts[r];
    } else {
      const std::span<T> rounded = place(buffers_.sent(), r, parts[r].size());
      group_.round(parts[r].data(), rounded.data(), std::ssize(rounded));
      to[r] = rounded;
    }
  }
  exchange(to, from);
  SumOfRanks<T> a{.ranks = std::ssize(parts),
                  .own_rank = ranks_.rank(),
                  .received = buffers_.received<T>(),
                  .stride = buffers_.share(),
                  .own = to[own].data(),
                  .sum = sum,
                  .adds = into == SumInto::kAdd,
                  .rounded = nullptr,
                  .count = std::ssize(mine)};
  if constexpr (std::same_as<T, bf16>) {
    if (on_all) a.rounded = place(buffers_.sent(), own, mine.size()).data();
  }
  group_.add_up(a);
  if (!on_all) return;
  std::ranges::fill(to, to[own]);
  for (size_t r = 0; r < size; ++r) {
    if constexpr (std::same_as<T, float>) {
      from[r] = parts[r];
    } else {
      from[r] = place(buffers_.received<T>(), r, parts[r].size());
    }
  }
  exchange(to, from);
  if constexpr (std::same_as<T, bf16>) {
    for (size_t r = 0; r < size; ++r) {
      if (r != own) group_.widen(from[r].data(), parts[r].data(), std::ssize(parts[r]));
    }
  }
}

void GroupExchange::sum_parts(const Parts& parts, float* sum, SumInto into, bool on_all) {
  if (buffers_.travels() == DType::kBF16) {
    sum_parts<bf16>(parts, sum, into, on_all);
  } else {
    sum_parts<float>(parts, sum, into, on_all);
  }
}

// At most a block.
void GroupExchange::sum_on_all(std::span<float> values) {
  constexpr auto kMultiple = static_cast<size_t>(GroupBuffers::kShareMultiple);
  const auto size = static_cast<size_t>(ranks_.size());
  const size_t share = round_up(divide_up(values.size(), size), kMultiple);
  Parts parts;
  for (size_t r = 0; r < size; ++r) {
    const size_t begin = std::min(values.size(), r * share);
    parts.push_back(values.subspan(begin, std::min(share, values.size() - begin)));
  }
  float* const mine = parts[static_cast<size_t>(ranks_.rank())].data();
  sum_parts(parts, mine, SumInto::kReplace, /*on_all=*/true);
}

// Of `elements` that are added up, of which this rank adds up `own`.
int64_t GroupExchange::bytes_of_others(int64_t elements, int64_t own, bool on_all) const {
  const int64_t received = (ranks_.size() - 1) * own + (on_all ? elements - own : 0);
  return buffers_.travels() == DType::kBF16 ? bytes_of<bf16>(received) : bytes_of<float>(received);
}

void GroupExchange::queue(Exchange what, const std::function<int64_t()>& work) {
  group_.follow_device();
  Queued queued{.what = what, .begin = group_.mark()};
  queued.received_bytes = work();
  queued.end = group_.mark();
  queued_.push_back(queued);
}

void GroupExchange::queue_sum_on_all(float* gradients, const UnitCut& cut) {
  const int64_t block = ranks_.size() * buffers_.share();
  queue(Exchange::kGradients, [&] {
    for (int64_t at = 0; at < cut.elements; at += block) {
      sum_on_all({gradients + at, static_cast<size_t>(std::min(block, cut.elements - at))});
    }
    return bytes_of_others(cut.elements, cut.elements / ranks_.size(), /*on_all=*/true);
  });
}

int64_t GroupExchange::queue_sum_at_owners(float* gradients, const UnitCut& cut, float* mine,
                                           SumInto into) {
  const int64_t share = buffers_.share();
  queue(Exchange::kGradients, [&] {
    for (int64_t at = 0; at < cut.part; at += share) {
      Parts parts;
      for (int64_t r = 0; r < ranks_.size(); ++r) {
        const int64_t begin = std::min(cut.begin(r) + at, cut.end(r));
        parts.emplace_back(gradients + begin,
                           static_cast<size_t>(std::min(share, cut.end(r) - begin)));
      }
      sum_parts(parts, mine + at, into, /*on_all=*/false);
    }
    return bytes_of_others(cut.elements, cut.size(ranks_.rank()), /*on_all=*/false);
  });
  return queued_.back().end;
}

// A row that a rank does not have is one of zeros there, which changes no sum's bits.
void GroupExchange::queue_sum_of_rows(RowGradients& rows, const SumBuffers& host) {
  const std::vector<int32_t> ids = rows_of_any_rank(ranks_, rows, host);
  const int64_t width = rows.shape().row_size;
  const auto at_a_time = static_cast<size_t>(rows.shape().slots_at_a_time);
  const auto block = static_cast<size_t>(buffers_.rows());
  queue(Exchange::kEmbeddingRows, [&] {
    std::vector<int32_t> places;
    const int64_t had = rows.used_rows();
    for (size_t at = 0; at < ids.size(); at += at_a_time) {
      const std::span<const int32_t> some =
          rows.slots(std::span(ids).subspan(at, std::min(at_a_time, ids.size() - at)));
      places.insert(places.end(), some.begin(), some.end());
    }
    group_.clear(rows.values() + had * width, (rows.used_rows() - had) * width);
    for (size_t at = 0; at < places.size(); at += block) {
      const auto some =
          std::span<const int32_t>(places).subspan(at, std::min(block, places.size() - at));
      group_.pack_rows(rows.values(), some, buffers_.row_places(), width, buffers_.packed_rows());
      sum_on_all({buffers_.packed_rows(), some.size() * static_cast<size_t>(width)});
      group_.unpack_rows(buffers_.packed_rows(), some, buffers_.row_places(), width, rows.values());
    }
    const int64_t elements = std::ssize(places) * width;
    return bytes_of_others(elements, elements / ranks_.size(), /*on_all=*/true);
  });
}

int64_t GroupExchange::queue_gather(const std::byte* mine, std::byte* weights, const UnitCut& cut,
                                    int64_t width) {
  const std::vector<std::span<std::byte>> parts = unit_parts(weights, cut, ranks_.size(), width);
  const std::span<std::byte> own = parts[static_cast<size_t>(ranks_.rank())];
  const std::vector<std::span<const std::byte>> to(parts.size(), {mine, own.size()});
  queue(Exchange::kWeights, [&] {
    if (mine != own.data() && !own.empty()) group_.copy(mine, own.data(), own.size());
    group_.exchange(to, parts);
    return cut.elements * width - std::ssize(own);
  });
  return queued_.back().end;
}

// The device's clock is another: times are told from the last mark, which is now.
std::vector<ExchangeSpan> GroupExchange::wait() {
  group_.wait();
  using Clock = ExchangeSpan::Clock;
  const Clock::time_point now = Clock::now();
  std::vector<ExchangeSpan> spans;
  for (const Queued& queued : queued_) {
    const auto at = [&](int64_t mark) {
      const std::chrono::duration<double, std::milli> before(
          group_.ms_between(mark, queued_.back().end));
      return now - std::chrono::duration_cast<Clock::duration>(before);
    };
    spans.push_back({.what = queued.what,
                     .begin = at(queued.begin),
                     .end = at(queued.end),
                     .received_bytes = queued.received_bytes});
  }
  queued_.clear();
  group_.forget_marks();
  return spans;
}

}  // namespace borealis
