#include "doctor/link_probe.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "base/median.h"
#include "base/stopwatch.h"
#include "comm/collectives.h"
#include "parallel/gradient_sum.h"
#include "parallel/group_buffers.h"
#include "parallel/group_exchange.h"
#include "parallel/sum_buffers.h"
#include "tensor/arena.h"

namespace borealis {
namespace {

constexpr int64_t kLeastBytes = 4 << 10;
constexpr int kMostRepeats = 20, kLeastRepeats = 3;
constexpr double kSecondsOfSize = 0.5;

// Adds the first elements of what there is up over the ranks.
using SumOf = std::function<void(int64_t elements)>;

// The slowest rank's time of one sum.
double timed_sum(Communicator& ranks, int64_t elements, const SumOf& sum) {
  ranks.barrier("measuring sums");
  const Stopwatch watch;
  sum(elements);
  const double own = watch.elapsed_ms() / 1000;
  const std::vector<double> all = all_values(ranks, own, "measuring sums");
  return *std::ranges::max_element(all);
}

std::vector<AllReduceRate> rates_of(Communicator& ranks, int64_t most_bytes, const SumOf& sum) {
  std::vector<AllReduceRate> rates;
  for (int64_t bytes = kLeastBytes; bytes <= most_bytes; bytes *= 4) {
    const int64_t elements = bytes / static_cast<int64_t>(sizeof(float));
    timed_sum(ranks, elements, sum);  // connections are made, pages touched
    std::vector<double> times;
    double total = 0;
    // All ranks have the same times and so stop together.
    while (std::ssize(times) < kLeastRepeats ||
           (std::ssize(times) < kMostRepeats && total < kSecondsOfSize)) {
      times.push_back(timed_sum(ranks, elements, sum));
      total += times.back();
    }
    AllReduceRate rate{.bytes = bytes, .seconds = median(times)};
    const auto count = static_cast<double>(ranks.size());
    rate.bus_bytes_per_s = 2 * (count - 1) / count * static_cast<double>(bytes) / rate.seconds;
    rates.push_back(rate);
  }
  return rates;
}

}  // namespace

std::vector<AllReduceRate> measure_all_reduce(Communicator& ranks, int64_t most_bytes) {
  const int64_t most = most_bytes / static_cast<int64_t>(sizeof(float));
  const auto buffers_in = [&](Arena& arena) {
    return SumBuffers(ranks.size(), std::nullopt, DType::kF32, /*largest_unit=*/0, arena);
  };
  Arena measured = Arena::measuring();
  buffers_in(measured);
  measured.take<float>(most);
  Arena memory(measured.used_bytes(), "sums to measure");
  const SumBuffers buffers = buffers_in(memory);
  auto* const values = memory.take<float>(most);
  return rates_of(ranks, most_bytes, [&](int64_t elements) {
    sum_on_all(ranks, std::span(values, static_cast<size_t>(elements)), buffers);
  });
}

std::vector<AllReduceRate> measure_all_reduce(Communicator& ranks, Device& device,
                                              std::unique_ptr<DeviceGroup> group,
                                              int64_t most_bytes) {
  const int64_t most = most_bytes / static_cast<int64_t>(sizeof(float));
  const auto buffers_in = [&](Arena& arena) {
    return GroupBuffers(ranks.size(), std::nullopt, DType::kF32, most, arena);
  };
  Arena measured = Arena::measuring();
  buffers_in(measured);
  measured.take<float>(most);
  Arena memory(measured.used_bytes(), "sums to measure", device);
  const GroupBuffers buffers = buffers_in(memory);
  auto* const values = memory.take<float>(most);
  // Ends before the memory does, which is given back only once nothing is under way.
  const std::unique_ptr<DeviceGroup> joined = std::move(group);
  GroupExchange exchange(ranks, *joined, buffers);
  return rates_of(ranks, most_bytes, [&](int64_t elements) {
    exchange.queue_sum_on_all(values, {.elements = elements, .part = elements});
    exchange.wait();
  });
}

}  // namespace borealis
