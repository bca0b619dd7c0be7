#include "doctor/link_probe.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/in_process.h"

namespace borealis {
namespace {

TEST(LinkProbe, AllRanksHaveTheSameRates) {
  constexpr int64_t kRanks = 3;
  std::vector<std::vector<AllReduceRate>> rates(kRanks);
  run_in_process(kRanks, [&](Communicator& ranks) {
    rates[static_cast<size_t>(ranks.rank())] = measure_all_reduce(ranks, 70'000);
  });
  ASSERT_EQ(rates[0].size(), 3U);
  for (size_t i = 0; i < rates[0].size(); ++i) {
    const AllReduceRate& rate = rates[0][i];
    EXPECT_EQ(rate.bytes, int64_t{4096} << (2 * i));
    EXPECT_GT(rate.seconds, 0);
    // Two thirds of the sum go out for the parts, and as much for their sums.
    EXPECT_DOUBLE_EQ(rate.bus_bytes_per_s,
                     4.0 / 3 * static_cast<double>(rate.bytes) / rate.seconds);
    for (const auto& other : rates) EXPECT_EQ(other[i].seconds, rate.seconds);
  }
}

}  // namespace
}  // namespace borealis
