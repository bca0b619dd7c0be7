#include "doctor/link_probe.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/in_process.h"
#include "support/fake_group.h"

namespace borealis {
namespace {

class LinkProbe : public ::testing::TestWithParam<bool> {};

TEST_P(LinkProbe, AllRanksHaveTheSameRates) {
  constexpr int64_t kRanks = 3;
  const bool between_gpus = GetParam();
  std::vector<std::vector<AllReduceRate>> rates(kRanks);
  run_in_process(kRanks, [&](Communicator& ranks) {
    testing::FakeGpu device;
    testing::FakeGroup group(ranks.split(0), device);
    rates[static_cast<size_t>(ranks.rank())] =
        between_gpus ? measure_all_reduce(ranks, device, group, 70'000)
                     : measure_all_reduce(ranks, 70'000);
    EXPECT_EQ(group.times_followed() > 0, between_gpus);
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

INSTANTIATE_TEST_SUITE_P(Between, LinkProbe, ::testing::Values(false, true), [](const auto& param) {
  return std::string(param.param ? "Gpus" : "Hosts");
});

}  // namespace
}  // namespace borealis
