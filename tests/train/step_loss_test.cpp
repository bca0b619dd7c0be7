#include "train/step_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "comm/in_process.h"
#include "kernels/cross_entropy.h"

namespace borealis {
namespace {

// Eight tokens, the last `counted` of which count.
Batch batch_of(int counted) {
  Batch batch;
  batch.targets.assign(8, kNoTarget);
  for (int i = 8 - counted; i < 8; ++i) batch.targets[static_cast<size_t>(i)] = 1;
  return batch;
}

StepLoss added(LossMean mean, std::initializer_list<std::pair<int, double>> batches) {
  StepLoss loss(mean, 8 * static_cast<int64_t>(batches.size()));
  for (const auto& [counted, sum] : batches) loss.add(batch_of(counted), sum);
  return loss;
}

// 6 tokens of mean 2 and 2 tokens of mean 5.
TEST(StepLoss, IsOverTokensOrOverMicroBatches) {
  EXPECT_DOUBLE_EQ(added(LossMean::kTokens, {{6, 12}, {2, 10}}).mean(), 22.0 / 8);
  EXPECT_DOUBLE_EQ(added(LossMean::kMicroBatch, {{6, 12}, {2, 10}}).mean(), 3.5);
}

// What a batch's gradients are scaled with, in all, is what its sum weighs in the mean.
TEST(StepLoss, ScalesGradientsAsItWeighsLosses) {
  for (const LossMean mean : {LossMean::kTokens, LossMean::kMicroBatch}) {
    const StepLoss loss = added(mean, {{6, 12}, {2, 10}, {0, 0}});
    const double derived = loss.gradient_factor() * (12 * loss.gradient_scale(batch_of(6)) +
                                                     10 * loss.gradient_scale(batch_of(2)));
    EXPECT_NEAR(derived, loss.mean(), 1e-6);
  }
}

TEST(StepLoss, AMicroBatchWithoutACountedTokenIsNoZero) {
  EXPECT_DOUBLE_EQ(added(LossMean::kTokens, {{8, 40}, {0, 0}}).mean(), 5);
  EXPECT_DOUBLE_EQ(added(LossMean::kMicroBatch, {{8, 40}, {0, 0}}).mean(), 5);
  const StepLoss none = added(LossMean::kTokens, {{0, 0}});
  EXPECT_TRUE(std::isnan(none.mean()));
  EXPECT_EQ(none.counted_tokens(), 0);
}

TEST(StepLoss, WithAllTokensCountedBothMeansAreOne) {
  for (const LossMean mean : {LossMean::kTokens, LossMean::kMicroBatch}) {
    const StepLoss loss = added(mean, {{8, 40}, {8, 24}, {8, 8}});
    EXPECT_EQ(loss.mean(), 72.0 / 24);
    EXPECT_EQ(loss.gradient_factor(), 1);
    EXPECT_EQ(loss.gradient_scale(batch_of(8)), 1.0F / 24);
  }
}

// However the micro-batches of a step are cut over ranks; the last rank counts no token.
TEST(StepLoss, AddedUpOverRanksIsThatOfOne) {
  for (const LossMean mean : {LossMean::kTokens, LossMean::kMicroBatch}) {
    const StepLoss one = added(mean, {{6, 12}, {2, 10}, {0, 0}});
    run_in_process(3, [&](Communicator& ranks) {
      const std::pair<int, double> parts[] = {{6, 12}, {2, 10}, {0, 0}};
      const auto& [counted, sum] = parts[ranks.rank()];
      StepLoss loss(mean, 8 * ranks.size());
      loss.add(batch_of(counted), sum);
      EXPECT_EQ(loss.gradient_scale(batch_of(6)), one.gradient_scale(batch_of(6)));
      loss.add_up(ranks);
      EXPECT_EQ(loss.mean(), one.mean());
      EXPECT_EQ(loss.counted_tokens(), 8);
      EXPECT_EQ(loss.gradient_factor(), one.gradient_factor());
    });
  }
}

}  // namespace
}  // namespace borealis
