#include "doctor/link_probe.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/in_process.h"
#include "support/fake_group.h"

namespace borealis {
namespace {

class LinkProbe : public ::testing::TestWithParam<bool> {};

// Ends before the memory that it uses is given back, for which a device would wait.
class GroupOfProbe : public testing::FakeGroup {
 public:
  GroupOfProbe(std::unique_ptr<Communicator> ranks, testing::FakeGpu& device, bool& was_used)
      : FakeGroup(std::move(ranks), device), device_(device), was_used_(was_used) {}
  ~GroupOfProbe() override {
    was_used_ = times_followed() > 0;
    EXPECT_LT(device_.memory().free_bytes, device_.memory().total_bytes);
  }

 private:
  testing::FakeGpu& device_;
  bool& was_used_;
};

TEST_P(LinkProbe, AllRanksHaveTheSameRates) {
  constexpr int64_t kRanks = 3;
  const bool between_gpus = GetParam();
  std::vector<std::vector<AllReduceRate>> rates(kRanks);
  run_in_process(kRanks, [&](Communicator& ranks) {
    testing::FakeGpu device;
    auto& own = rates[static_cast<size_t>(ranks.rank())];
    if (!between_gpus) {
      own = measure_all_reduce(ranks, 70'000);
      return;
    }
    bool was_used = false;
    own = measure_all_reduce(
        ranks, device, std::make_unique<GroupOfProbe>(ranks.split(0), device, was_used), 70'000);
    EXPECT_TRUE(was_used);
    EXPECT_EQ(device.memory().free_bytes, device.memory().total_bytes);
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
