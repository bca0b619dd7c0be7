// ZeRO stages over ranks as threads: the state is sharded, what is computed is not changed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "config/settings.h"
#include "support/ranked_run.h"

namespace borealis {
namespace {

using testing::RankedRunTest;
using testing::Result;

class ZeroTest : public RankedRunTest {
 protected:
  void SetUp() override {
    RankedRunTest::SetUp();
    // Of each of some hundred runs, which sanitizers make slow.
    config_.limits.train_iters = are_long_ ? 50 : 20;
    config_.limits.eval_interval = 10;
  }

  const bool are_long_ = process_environment()("BOREALIS_LONG_RUNS").has_value();  // by hand

  Result run_at(int64_t stage, int64_t ranks, int64_t micro_batch_size = 1) {
    config_.parallel.zero_stage = stage;
    return run(ranks, micro_batch_size);
  }

  // With one micro-batch a rank every stage adds up the same numbers in the same order. Gives what
  // they all gave.
  Result expect_stages_agree(int64_t ranks) {
    const Result of_zero = run_at(0, ranks, config_.batch.global_batch_size / ranks);
    for (const int64_t stage : {1, 2, 3}) {
      SCOPED_TRACE(stage);
      expect_same_bits(of_zero, run_at(stage, ranks, config_.batch.global_batch_size / ranks));
    }
    return of_zero;
  }
};

TEST_F(ZeroTest, StagesHaveTheBitsOfStageZero) {
  for (const int64_t ranks : {2, 3, 4, 8}) {
    SCOPED_TRACE(ranks);
    expect_stages_agree(ranks);
  }
}

TEST_F(ZeroTest, AlsoInBf16) {
  config_.dtype = DType::kBF16;
  expect_stages_agree(3);
}

TEST_F(ZeroTest, AlsoWithGradientsThatTravelInBf16) {
  config_.parallel.grad_reduce_in_bf16 = true;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    config_.dtype = dtype;
    expect_stages_agree(3);
  }
  config_.model.vocab_size = 4096;  // the embedding's by rows
  config_.batch.global_batch_size = 6;
  expect_stages_agree(3);
}

TEST_F(ZeroTest, AlsoWithRecompute) {
  config_.recompute = {.enabled = true, .layers_per_segment = 1};
  expect_stages_agree(3);
  config_.recompute = {.enabled = true, .layers_per_segment = 2};
  config_.model = testing::small_llama(5);
  config_.model.max_position_embeddings = 16;
  expect_stages_agree(2);
}

TEST_F(ZeroTest, AlsoWithTiedHeads) {
  config_.model.tie_word_embeddings = true;
  expect_stages_agree(3);
}

TEST_F(ZeroTest, AlsoWithTheEmbeddingsGradientByRows) {
  config_.model.vocab_size = 4096;
  config_.batch.global_batch_size = 6;
  expect_stages_agree(3);
}

TEST_F(ZeroTest, AlsoWithUnitsThatShardsDoNotDivide) {
  config_.model.hidden_size = 28;
  config_.model.num_attention_heads = 2;
  config_.model.num_key_value_heads = 1;
  config_.model.head_dim = 6;
  config_.model.intermediate_size = 17;
  expect_stages_agree(3);
}

TEST_F(ZeroTest, AlsoWithClippingAndSkippedSteps) {
  config_.limits.train_iters = 50;
  config_.batch.global_batch_size = 4;  // of few samples, so that norms differ from step to step
  config_.optimizer.max_grad_norm = 0.5;
  config_.optimizer.skip_grad_norm_factor = 1.01;
  config_.optimizer.skip_grad_norm_window = 16;
  const Result agreed = expect_stages_agree(4);
  EXPECT_GT(agreed.steps.back().skipped_iterations, 0);
  EXPECT_TRUE(std::ranges::any_of(agreed.steps, [&](const StepRecord& step) {
    return !step.skipped && step.grad_norm.value() > config_.optimizer.max_grad_norm;
  }));
}

// Stages 2 and 3 add up micro-batches one after the other, 0 and 1 first within each rank.
TEST_F(ZeroTest, OverMicroBatchesLossesAreThoseOfOneRank) {
  const Result one = run_at(0, 1);
  for (const bool recompute : {false, true}) {
    config_.recompute = {.enabled = recompute, .layers_per_segment = 1};
    for (const int64_t ranks : {2, 3, 4, 8}) {
      SCOPED_TRACE(ranks);
      const Result zero = run_at(0, ranks), two = run_at(2, ranks);
      expect_equal(one, zero);
      expect_equal(one, two);
      expect_same_bits(zero, run_at(1, ranks));
      expect_same_bits(two, run_at(3, ranks));
    }
  }
}

// Those of ZeRO 1 and 2 come while the next pass goes on, which waits for each unit's; so does a
// save for all of them.
TEST_F(ZeroTest, LateWeightsAreWaitedFor) {
  config_.limits.train_iters = 7;
  config_.limits.eval_interval = 3;
  config_.limits.save_interval = 4;
  config_.output.save_checkpoints = true;
  config_.checkpoint.no_load = true;
  const auto train = [&](int64_t stage, bool late) {
    const auto folder = folder_.path() / (late ? "late" : "at-once");
    std::filesystem::remove_all(folder);
    config_.output.checkpoint_dir = folder.string();
    weights_are_late_ = late;
    Result result = run_at(stage, 3);
    return std::pair(std::move(result),
                     read_text_file(folder / "global_step4" / "model.safetensors"));
  };
  for (const bool tied : {false, true}) {
    config_.model.tie_word_embeddings = tied;
    for (const int64_t stage : {1, 2}) {
      SCOPED_TRACE(stage);
      save_in_background_ = stage == 1;
      const auto [at_once, saved_at_once] = train(stage, false);
      const auto [late, saved_late] = train(stage, true);
      expect_same_bits(at_once, late);
      EXPECT_TRUE(saved_at_once == saved_late);
    }
  }
}

// Where weights are gathered from is no question of bits.
TEST_F(ZeroTest, SecondaryShardsOfAHostHaveTheSameBits) {
  config_.dtype = DType::kBF16;
  for (const bool recompute : {false, true}) {
    config_.recompute = {.enabled = recompute, .layers_per_segment = 1};
    config_.parallel.zero_hpz_partition_size = 1;
    const Result without = run_at(3, 4);
    for (const int64_t size : {2, 4}) {
      SCOPED_TRACE(size);
      config_.parallel.zero_hpz_partition_size = size;
      expect_same_bits(without, run_at(3, 4));
    }
  }
}

TEST_F(ZeroTest, TwoRunsGiveTheSameBits) {
  config_.dtype = DType::kBF16;
  config_.limits.train_iters = 10;
  for (const int64_t stage : {1, 2, 3}) expect_same_bits(run_at(stage, 3), run_at(stage, 3));
}

// The model that Hugging Face loads is the same file, whoever had its weights.
TEST_F(ZeroTest, CheckpointsHoldTheSameModel) {
  config_.limits.train_iters = 3;
  config_.output.save_checkpoints = true;
  config_.checkpoint.load_given = true;
  std::vector<std::string> models;
  for (const int64_t stage : {0, 1, 2, 3}) {
    const auto folder = folder_.path() / fmt::format("stage-{}", stage);
    config_.output.checkpoint_dir = config_.checkpoint.load_dir = folder.string();
    save_in_background_ = stage < 3;
    run_at(stage, 3, 8);
    models.push_back(read_text_file(folder / "global_step3" / "model.safetensors"));
    EXPECT_TRUE(std::filesystem::exists(folder / "latest"));
  }
  for (const std::string& model : models) EXPECT_TRUE(model == models.front());
}

// Saved by any number of ranks at any stage, loaded by any other.
TEST_F(ZeroTest, AnyRanksGoOnFromAnyOthersCheckpoint) {
  struct Job {
    int64_t ranks, stage;
  };
  std::vector<Job> jobs = {{1, 0}};
  for (const int64_t ranks : {2, 3, 4}) {
    for (const int64_t stage : {0, 1, 2, 3}) jobs.push_back({ranks, stage});
  }
  const int64_t last = are_long_ ? 14 : 8;
  const Result whole = run_at(0, 1);
  config_.limits.eval_interval = 0;
  for (const Job& writer : jobs) {
    config_.output.save_checkpoints = true;
    config_.output.checkpoint_dir =
        (folder_.path() / fmt::format("of-{}-{}", writer.ranks, writer.stage)).string();
    config_.limits.train_iters = 4;
    config_.checkpoint.load_dir = config_.output.checkpoint_dir;
    config_.checkpoint.load_given = true;
    save_in_background_ = writer.stage % 2 == 1;
    run_at(writer.stage, writer.ranks);
    config_.output.save_checkpoints = false;
    config_.limits.train_iters = last;
    for (const Job& reader : jobs) {
      SCOPED_TRACE(fmt::format("{} ranks, stage {} read by {} ranks, stage {}", writer.ranks,
                               writer.stage, reader.ranks, reader.stage));
      const Result rest = run_at(reader.stage, reader.ranks);
      ASSERT_EQ(rest.steps.size(), static_cast<size_t>(last - 4));
      for (size_t i = 0; i < rest.steps.size(); ++i) {
        EXPECT_NEAR(rest.steps[i].lm_loss, whole.steps[4 + i].lm_loss,
                    1e-6 * whole.steps[4 + i].lm_loss);
      }
    }
  }
}

}  // namespace
}  // namespace borealis
