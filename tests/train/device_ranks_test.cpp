// Ranks whose memory is a device's (support/fake_gpu.h), as threads: what they exchange passes
// through the host's, or is the devices' own matter (support/fake_group.h), and nothing else is
// changed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <utility>

#include "base/file.h"
#include "support/ranked_run.h"

namespace borealis {
namespace {

using testing::RankedRunTest;
using testing::Result;

class DeviceRanksTest : public RankedRunTest {
 protected:
  void SetUp() override {
    RankedRunTest::SetUp();
    config_.limits.train_iters = 4;
    config_.limits.eval_interval = 2;
  }
  enum Where { kHost, kDevices, kGroup };
  Result run_at(int64_t stage, int64_t ranks, Where where) {
    config_.parallel.zero_stage = stage;
    on_devices_ = where == kDevices;
    on_group_ = where == kGroup;
    return run(ranks);
  }
  void expect_the_hosts_bits(int64_t ranks = 3) {
    const Result on_host = run_at(0, ranks, kHost);
    ASSERT_EQ(on_host.steps.size(), 4U);
    for (const Where where : {kDevices, kGroup}) {
      for (const int64_t stage : {0, 1}) {
        SCOPED_TRACE(::testing::Message() << "group: " << (where == kGroup) << ", stage " << stage);
        expect_same_bits(run_at(stage, ranks, where), on_host);
      }
    }
    // Sums of each micro-batch are added to those before.
    const Result sharded = run_at(2, ranks, kHost);
    for (const int64_t stage : {2, 3}) {
      SCOPED_TRACE(::testing::Message() << "stage " << stage);
      expect_same_bits(run_at(stage, ranks, kGroup), sharded);
    }
  }
};

TEST_F(DeviceRanksTest, HaveTheHostsBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    config_.dtype = dtype;
    expect_the_hosts_bits(2);
  }
}

TEST_F(DeviceRanksTest, AlsoWithTheEmbeddingsGradientByRows) {
  config_.model.vocab_size = 4096;
  config_.batch.global_batch_size = 6;
  ASSERT_TRUE(make_run_layout(config_, 1).embedding_rows);
  expect_the_hosts_bits();
}

TEST_F(DeviceRanksTest, AlsoWithTiedHeadsAndGradientsThatTravelInBf16) {
  config_.model.tie_word_embeddings = true;
  config_.parallel.grad_reduce_in_bf16 = true;
  expect_the_hosts_bits();
}

TEST_F(DeviceRanksTest, AlsoWhereActivationsAreComputedAgain) {
  config_.recompute.enabled = true;
  expect_same_bits(run_at(3, 3, kGroup), run_at(3, 3, kHost));
}

class DeviceRanksSaveTest : public DeviceRanksTest,
                            public ::testing::WithParamInterface<std::pair<int64_t, DType>> {};

TEST_P(DeviceRanksSaveTest, WhatTheySaveTheHostGoesOnFromAndTheOtherWayRound) {
  const auto [stage, dtype] = GetParam();
  config_.dtype = dtype;
  const Result whole = run_at(stage, 3, kHost);
  config_.output.save_checkpoints = true;
  config_.checkpoint.load_given = true;
  save_in_background_ = true;
  for (const bool device_first : {true, false}) {
    config_.output.checkpoint_dir = config_.checkpoint.load_dir =
        (folder_.path() / (device_first ? "of-devices" : "of-hosts")).string();
    config_.limits.train_iters = 2;
    run_at(stage, 3, device_first ? kGroup : kHost);
    config_.limits.train_iters = 4;
    const Result rest = run_at(stage, 3, device_first ? kHost : kGroup);
    ASSERT_EQ(rest.steps.size(), 2U);
    for (size_t i = 0; i < rest.steps.size(); ++i) {
      EXPECT_EQ(rest.steps[i].lm_loss, whole.steps[2 + i].lm_loss) << i;
    }
    EXPECT_TRUE(rest.weights == whole.weights);
  }
  const auto model_of = [&](const char* run) {
    return read_text_file(folder_.path() / run / "global_step2" / "model.safetensors");
  };
  EXPECT_EQ(model_of("of-devices"), model_of("of-hosts"));
}

INSTANTIATE_TEST_SUITE_P(Stages, DeviceRanksSaveTest,
                         ::testing::Values(std::pair(1, DType::kF32), std::pair(3, DType::kF32),
                                           std::pair(3, DType::kBF16)),
                         [](const auto& param) {
                           return fmt::format("{}_{}", param.param.first,
                                              dtype_name(param.param.second));
                         });

}  // namespace
}  // namespace borealis
