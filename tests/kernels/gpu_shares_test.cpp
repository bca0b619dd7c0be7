#include "kernels/gpu_shares.h"

#include <gtest/gtest.h>

#include <utility>

namespace borealis {
namespace {

using Shares = std::vector<std::pair<int64_t, int64_t>>;  // numbers and ranks

Shares shares_of(const std::vector<std::vector<GpuId>>& seen) {
  Shares shares;
  for (const GpuShare& share : gpu_shares(seen)) shares.emplace_back(share.number, share.ranks);
  return shares;
}

TEST(GpuSharesTest, RanksThatSeeTheSameTakeThemInTurn) {
  const std::vector<GpuId> two = {"a", "b"};
  EXPECT_EQ(shares_of({two}), (Shares{{0, 1}}));
  EXPECT_EQ(shares_of({two, two}), (Shares{{0, 1}, {1, 1}}));
  EXPECT_EQ(shares_of({two, two, two}), (Shares{{0, 2}, {1, 1}, {0, 2}}));
  EXPECT_EQ(shares_of({{"a"}, {"a"}}), (Shares{{0, 2}, {0, 2}}));
}

// As Slurm does with --gpus-per-task, where each has the number 0.
TEST(GpuSharesTest, ARankThatSeesOneOfItsOwnHasIt) {
  EXPECT_EQ(shares_of({{"a"}, {"b"}, {"c"}}), (Shares{{0, 1}, {0, 1}, {0, 1}}));
}

// CUDA_VISIBLE_DEVICES="0" beside "0,1", and beside "1,0".
TEST(GpuSharesTest, WhoHasNoChoiceTakesFirst) {
  EXPECT_EQ(shares_of({{"a"}, {"a", "b"}}), (Shares{{0, 1}, {1, 1}}));
  EXPECT_EQ(shares_of({{"a", "b"}, {"a"}}), (Shares{{1, 1}, {0, 1}}));
  EXPECT_EQ(shares_of({{"b", "a"}, {"a"}, {"a"}}), (Shares{{0, 1}, {0, 2}, {0, 2}}));
}

TEST(GpuSharesTest, ARankThatSeesNoneIsInNobodysWay) {
  EXPECT_EQ(shares_of({}), Shares{});
  EXPECT_EQ(shares_of({{}, {"a"}, {}}), (Shares{{0, 1}, {0, 1}, {0, 1}}));
}

}  // namespace
}  // namespace borealis
