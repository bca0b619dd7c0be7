// Ranks as threads: what data parallelism computes is what one rank does with the same samples.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "support/expect_error.h"
#include "support/ranked_run.h"

namespace borealis {
namespace {

using testing::RankedRunTest;
using testing::Result;

class DataParallelTest : public RankedRunTest {};

TEST_F(DataParallelTest, LossesAreThoseOfOneRank) {
  const Result one = run(1);
  ASSERT_EQ(one.steps.size(), 50U);
  for (const int64_t ranks : {2, 3, 4, 8}) {
    SCOPED_TRACE(ranks);
    expect_equal(one, run(ranks));
  }
}

TEST_F(DataParallelTest, AlsoWithRecomputeTiedHeadsAndLargerMicroBatches) {
  config_.recompute = {.enabled = true, .layers_per_segment = 1};
  expect_equal(run(1, 2), run(3, 2));
  config_.model.tie_word_embeddings = true;
  expect_equal(run(1, 4), run(2, 4));
}

// So many entries that a rank keeps the embedding's gradient by rows, of which each has its own.
TEST_F(DataParallelTest, AlsoWithTheEmbeddingsGradientByRows) {
  config_.model.vocab_size = 4096;
  config_.batch.global_batch_size = 6;
  RunConfig of_three = config_;
  of_three.parallel.world_size = 3;
  of_three.batch.grad_accum_steps = 2;
  ASSERT_TRUE(make_run_layout(of_three, 1).embedding_rows);
  const Result one = run(1);
  expect_equal(one, run(2));
  expect_equal(one, run(3));
}

// A rounded part is off by 2^-9 of itself at most, and so is their sum: a norm by no more than
// both.
TEST_F(DataParallelTest, GradientsThatTravelInBf16AreRounded) {
  config_.limits.train_iters = 1;
  const Result whole = run(3);
  config_.parallel.grad_reduce_in_bf16 = true;
  const Result rounded = run(3);
  EXPECT_EQ(rounded.steps[0].lm_loss, whole.steps[0].lm_loss) << "before the first update";
  const double norm = whole.steps[0].grad_norm.value();
  EXPECT_NE(rounded.steps[0].grad_norm, norm);
  EXPECT_NEAR(rounded.steps[0].grad_norm.value(), norm, norm / 256);
  const Result one = run(1);
  EXPECT_NEAR(one.steps[0].grad_norm.value(), norm, 1e-6 * norm)
      << "a rank that sums with nobody rounds nothing";
}

TEST_F(DataParallelTest, StepsHaveTheTimesOfAllRanks) {
  config_.limits.train_iters = 3;
  EXPECT_FALSE(run(1).steps.front().of_ranks);
  for (const StepRecord& step : run(4).steps) {
    ASSERT_TRUE(step.of_ranks);
    for (const RankTimes& times :
         {step.of_ranks->forward, step.of_ranks->backward, step.of_ranks->computing}) {
      EXPECT_GT(times.min_ms, 0);
      EXPECT_LE(times.min_ms, times.median_ms);
      EXPECT_LE(times.median_ms, times.max_ms);
    }
    EXPECT_LE(step.of_ranks->forward.min_ms, step.forward_ms);
    EXPECT_GE(step.of_ranks->forward.max_ms, step.forward_ms);
    EXPECT_GE(step.of_ranks->slowest, 0);
    EXPECT_LT(step.of_ranks->slowest, 4);
  }
}

TEST_F(DataParallelTest, TwoRunsGiveTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    config_.dtype = dtype;
    config_.limits.train_iters = 10;
    const Result first = run(3), second = run(3);
    for (size_t i = 0; i < first.steps.size(); ++i) {
      EXPECT_EQ(first.steps[i].lm_loss, second.steps[i].lm_loss);
      EXPECT_EQ(first.steps[i].grad_norm, second.steps[i].grad_norm);
    }
    EXPECT_TRUE(std::ranges::equal(first.weights, second.weights));
  }
}

// The norm is clipped, and a spike skips the step, on all ranks or on none.
TEST_F(DataParallelTest, RanksAgreeOnClippingAndSkippedSteps) {
  config_.batch.global_batch_size = 4;  // of few samples, so that norms differ from step to step
  config_.optimizer.max_grad_norm = 0.5;
  config_.optimizer.skip_grad_norm_factor = 1.01;
  config_.optimizer.skip_grad_norm_window = 16;
  const Result one = run(1), many = run(4);
  expect_equal(one, many);
  EXPECT_GT(one.steps.back().skipped_iterations, 0);
  EXPECT_TRUE(std::ranges::any_of(one.steps, [&](const StepRecord& step) {
    return !step.skipped && step.grad_norm.value() > config_.optimizer.max_grad_norm;
  }));
}

TEST_F(DataParallelTest, ACheckpointOfManyRanksGoesOnOnOneAndBack) {
  const Result whole = run(1);
  config_.output.save_checkpoints = true;
  config_.limits.train_iters = 20;
  run(3);
  config_.limits.train_iters = 35;
  EXPECT_EQ(run(1).steps.front().iteration, 21);
  config_.limits.train_iters = 50;
  const Result last = run(2);
  ASSERT_EQ(last.steps.size(), 15U);
  for (size_t i = 0; i < last.steps.size(); ++i) {
    EXPECT_NEAR(last.steps[i].lm_loss, whole.steps[35 + i].lm_loss,
                1e-6 * whole.steps[35 + i].lm_loss);
  }
}

// The file appears while one rank is still in its step and others may have looked already.
TEST_F(DataParallelTest, RanksStopTogether) {
  const auto kill_switch = folder_.path() / "stop";
  config_.limits.kill_switch_file = kill_switch.string();
  after_step_ = [&](int64_t rank, int64_t iteration) {
    if (rank == 2 && iteration == 3) write_file_atomically(kill_switch, "");
  };
  const Result result = run(3);
  EXPECT_EQ(result.stopped_by, "kill_switch");
  EXPECT_EQ(result.steps.size(), 3U);
}

TEST_F(DataParallelTest, ALostRankEndsTheRunOnAll) {
  after_step_ = [&](int64_t rank, int64_t iteration) {
    if (rank == 1 && iteration == 2) throw Error(ErrorKind::kFile, "the disk of rank 1");
  };
  EXPECT_ERROR(run(3), ErrorKind::kFile, "the disk of rank 1");
}

}  // namespace
}  // namespace borealis
