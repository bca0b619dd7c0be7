#include "doctor/link_probe.h"

#include <algorithm>

#include "base/median.h"
#include "base/memory.h"
#include "base/stopwatch.h"
#include "comm/collectives.h"

namespace borealis {
namespace {

constexpr int64_t kLeastBytes = 4 << 10;
constexpr int kMostRepeats = 20, kLeastRepeats = 3;
constexpr double kSecondsOfSize = 0.5;

// The slowest rank's time of one sum.
double timed_sum(Communicator& ranks, std::span<float> values) {
  ranks.barrier("measuring sums");
  const Stopwatch watch;
  all_reduce_sum(ranks, values, "measuring sums");
  const double own = watch.elapsed_ms() / 1000;
  const std::vector<double> all = all_values(ranks, own, "measuring sums");
  return *std::ranges::max_element(all);
}

}  // namespace

std::vector<AllReduceRate> measure_all_reduce(Communicator& ranks, int64_t most_bytes) {
  const PageBuffer memory(static_cast<size_t>(most_bytes), "sums to measure");
  auto* const values = reinterpret_cast<float*>(memory.data());
  std::vector<AllReduceRate> rates;
  for (int64_t bytes = kLeastBytes; bytes <= most_bytes; bytes *= 4) {
    const std::span<float> part(values, static_cast<size_t>(bytes) / sizeof(float));
    timed_sum(ranks, part);  // connections are made, pages touched
    std::vector<double> times;
    double total = 0;
    // All ranks have the same times and so stop together.
    while (std::ssize(times) < kLeastRepeats ||
           (std::ssize(times) < kMostRepeats && total < kSecondsOfSize)) {
      times.push_back(timed_sum(ranks, part));
      total += times.back();
    }
    AllReduceRate rate{.bytes = bytes, .seconds = median(times)};
    const auto count = static_cast<double>(ranks.size());
    rate.bus_bytes_per_s = 2 * (count - 1) / count * static_cast<double>(bytes) / rate.seconds;
    rates.push_back(rate);
  }
  return rates;
}

}  // namespace borealis
