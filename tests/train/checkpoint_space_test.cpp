#include "train/checkpoint_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;

RunConfig run_of(int64_t iterations, int64_t interval) {
  RunConfig config;
  config.limits.train_iters = iterations;
  config.limits.save_interval = interval;
  return config;
}

// bf16 weights, and in f32 master weights and two moments.
TEST(CheckpointSpace, IsFourteenOrSixteenBytesAParameter) {
  RunConfig config = run_of(100, 50);
  EXPECT_EQ(checkpoint_space(config, 1000, 0).bytes_each, 14'000);
  config.dtype = DType::kF32;
  EXPECT_EQ(checkpoint_space(config, 1000, 0).bytes_each, 16'000);
}

TEST(CheckpointSpace, CountsWhatIsKeptAtOneTime) {
  EXPECT_EQ(checkpoint_space(run_of(100, 30), 1, 0).most, 4);  // 30, 60, 90 and the last step
  EXPECT_EQ(checkpoint_space(run_of(100, 50), 1, 0).most, 2);
  EXPECT_EQ(checkpoint_space(run_of(100, 50), 1, 60).most, 1);
  EXPECT_EQ(checkpoint_space(run_of(100, 50), 1, 100).most, 0);
  EXPECT_EQ(checkpoint_space(run_of(100, 0), 1, 0).most, 1);
  RunConfig config = run_of(100, 10);
  config.checkpoint.keep_last = 2;
  EXPECT_EQ(checkpoint_space(config, 1, 0).most, 3);      // two and the one being written
  EXPECT_EQ(checkpoint_space(config, 1, 50, 2).most, 1);  // of those there one goes for each
  config.checkpoint.keep_every = 50;
  EXPECT_EQ(checkpoint_space(config, 1, 0).most, 5);
  config.output.save_checkpoints = false;
  EXPECT_EQ(checkpoint_space(config, 1, 0).most, 0);
}

TEST(CheckpointSpace, RefusesWhatNeverFitsAndWarnsOfWhatFillsTheDisk) {
  EXPECT_EQ(check_space({1000, 3}, 3000, "/d"), "");
  EXPECT_THAT(check_space({1000, 3}, 2999, "/d"), HasSubstr("/d has room for 2 of the 3"));
  EXPECT_EQ(check_space({1000, 0}, 0, "/d"), "");
  EXPECT_ERROR(check_space({1000, 1}, 999, "/d"), ErrorKind::kFile, "/d has 999 B free");
}

}  // namespace
}  // namespace borealis
