#include "launch/launch_layout.h"

#include <gtest/gtest.h>

#include "config/support.h"

namespace borealis::testing {
namespace {

int64_t ranks(const Variables& variables, int64_t gpus) {
  constexpr int64_t kDomains = 2;
  return default_ranks_of_host(environment_of(variables), gpus, kDomains);
}

TEST(RanksOfAHost, AreOneAGpu) {
  EXPECT_EQ(ranks({}, 4), 4);
  EXPECT_EQ(ranks({{"DEVICE", "cuda"}}, 4), 4);
  EXPECT_EQ(ranks({{"CUDA_VISIBLE_DEVICES", "2"}}, 4), 1);
  EXPECT_EQ(ranks({{"CUDA_VISIBLE_DEVICES", "0,1,3"}}, 4), 3);
}

TEST(RanksOfAHost, AreOneAMemoryDomainWithoutGpus) {
  EXPECT_EQ(ranks({}, 0), 2);
  EXPECT_EQ(ranks({{"DEVICE", "cpu"}}, 4), 2);
  EXPECT_EQ(ranks({{"CUDA_VISIBLE_DEVICES", ""}}, 4), 2);
  EXPECT_EQ(ranks({{"CUDA_VISIBLE_DEVICES", "0,1"}}, 0), 2);
}

}  // namespace
}  // namespace borealis::testing
