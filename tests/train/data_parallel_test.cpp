// Ranks as threads: what data parallelism computes is what one rank does with the same samples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "comm/collectives.h"
#include "comm/in_process.h"
#include "model/run_layout.h"
#include "support/expect_error.h"
#include "support/small_models.h"
#include "support/temporary_folder.h"
#include "train/trainer.h"

namespace borealis {
namespace {

using testing::small_llama;

struct Result {
  std::vector<StepRecord> steps;
  std::vector<ValidationRecord> validations;
  std::string stopped_by;
  std::vector<std::byte> weights;
};

class DataParallelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.dtype = DType::kF32;
    config_.model = small_llama(2);
    config_.model.max_position_embeddings = 16;
    config_.batch.seq_length = 16;
    config_.batch.global_batch_size = 24;
    config_.data.mock_data = true;
    config_.limits.train_iters = 50;
    config_.limits.eval_interval = 20;
    config_.limits.eval_iters = 2;
    config_.limits.save_interval = 0;
    config_.schedule.learning_rate = 1e-3;
    config_.schedule.decay_style = LrDecayStyle::kConstant;
    config_.schedule.warmup_fraction = 0;
    config_.output.save_checkpoints = false;
    config_.output.checkpoint_dir = (folder_.path() / "checkpoints").string();
    config_.output.run_dir = folder_.path().string();
  }

  // Rank 0's; every rank must end with its weights, to the last bit. Each has one thread, as one
  // rank has: so that nothing but the ranks differs.
  Result run(int64_t ranks, int64_t micro_batch_size = 1) {
    RunConfig config = config_;
    config.parallel.world_size = ranks;
    config.batch.micro_batch_size = micro_batch_size;
    config.batch.grad_accum_steps = config.batch.global_batch_size / ranks / micro_batch_size;
    Result result;
    run_in_process(ranks, [&](Communicator& communicator) {
      omp_set_num_threads(1);
      const RunLayout layout = make_run_layout(config, 1);
      RunConfig own = config;
      RunStart start = StartChooser(own).next(own);
      Trainer trainer(
          own, layout, std::move(start),
          {.ranks = &communicator, .measure_gemm = [](std::span<std::byte>) { return 1e11; }});
      TrainerEvents events;
      Result mine;
      events.on_step = [&](const StepRecord& record) {
        mine.steps.push_back(record);
        if (after_step_) after_step_(communicator.rank(), record.iteration);
      };
      events.on_validation = [&](const ValidationRecord& record) {
        mine.validations.push_back(record);
      };
      mine.stopped_by = trainer.run(events).stopped_by;
      for (const size_t steps : all_values(communicator, mine.steps.size(), "comparing")) {
        EXPECT_EQ(steps, mine.steps.size());
      }
      const auto* weights = static_cast<const std::byte*>(trainer.parameters().weights);
      mine.weights.assign(weights, weights + layout.table.buffer_elements() *
                                                 static_cast<int64_t>(dtype_bytes(config.dtype)));
      std::vector<std::byte> of_first = mine.weights;
      communicator.broadcast(std::span<std::byte>(of_first), 0, "comparing");
      EXPECT_TRUE(std::ranges::equal(of_first, mine.weights)) << "rank " << communicator.rank();
      if (communicator.rank() == 0) result = std::move(mine);
    });
    return result;
  }

  // f32 sums in another order differ by some 1e-8 of the norm; with this learning rate the losses
  // of 50 steps then differ by 3e-9 (with ten times as much, training itself makes 1e-3 of it).
  static void expect_equal(const Result& one, const Result& many, double relative = 1e-6) {
    ASSERT_EQ(one.steps.size(), many.steps.size());
    for (size_t i = 0; i < one.steps.size(); ++i) {
      EXPECT_NEAR(many.steps[i].lm_loss, one.steps[i].lm_loss, relative * one.steps[i].lm_loss)
          << i;
      EXPECT_EQ(many.steps[i].consumed_samples, one.steps[i].consumed_samples);
    }
    ASSERT_EQ(one.validations.size(), many.validations.size());
    for (size_t i = 0; i < one.validations.size(); ++i) {
      EXPECT_NEAR(many.validations[i].lm_loss, one.validations[i].lm_loss,
                  relative * one.validations[i].lm_loss);
    }
  }

  const TemporaryFolder folder_;
  RunConfig config_;
  std::function<void(int64_t rank, int64_t iteration)> after_step_;
};

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
  EXPECT_EQ(many.steps.back().skipped_iterations, one.steps.back().skipped_iterations);
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
