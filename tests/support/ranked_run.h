// Runs of several ranks, which are threads of this process.
#pragma once

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "comm/in_process.h"
#include "model/run_layout.h"
#include "support/fake_gpu.h"
#include "support/fake_group.h"
#include "support/late_weights.h"
#include "support/small_models.h"
#include "support/temporary_folder.h"
#include "train/trainer.h"

namespace borealis::testing {

struct Result {
  std::vector<StepRecord> steps;
  std::vector<ValidationRecord> validations;
  std::string stopped_by;
  std::vector<std::byte> weights;
};

class RankedRunTest : public ::testing::Test {
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
    config.batch.grad_accum_steps =
        config.batch.global_batch_size / config.parallel.data_parallel_size() / micro_batch_size;
    Result result;
    run_in_process(ranks, [&](Communicator& of_threads) {
      const std::unique_ptr<Communicator> wrapped = make_communicator(of_threads);
      Communicator& communicator = wrapped ? *wrapped : of_threads;
      omp_set_num_threads(1);
      const std::unique_ptr<Backend> gpu = make_gpu(communicator);
      Backend& backend = gpu ? *gpu : cpu_backend();
      const RunLayout layout = make_run_layout(config, 1, backend.gpu());
      ASSERT_EQ(layout.is_on_group(), on_group_ && ranks > 1);
      RunConfig own = config;
      RunStart start = StartChooser(own).next(own);
      Trainer trainer(own, layout, std::move(start),
                      {.ranks = &communicator,
                       .measure_gemm = [](std::span<std::byte>) { return 1e11; },
                       .save_in_background = save_in_background_ && !layout.shards_weights(),
                       .backend = &backend});
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
      mine.weights = whole_weights(communicator, layout, trainer.parameters(), backend.device());
      std::vector<std::byte> of_first = mine.weights;
      communicator.broadcast(std::span<std::byte>(of_first), 0, "comparing");
      EXPECT_TRUE(std::ranges::equal(of_first, mine.weights)) << "rank " << communicator.rank();
      if (communicator.rank() == 0) result = std::move(mine);
    });
    return result;
  }

  // Null: that of the threads.
  virtual std::unique_ptr<Communicator> make_communicator(Communicator& of_threads) {
    return weights_are_late_ ? std::make_unique<LateWeights>(of_threads) : nullptr;
  }
  virtual std::unique_ptr<Backend> make_gpu(Communicator& ranks) {
    if (on_group_) return std::make_unique<FakeGroupBackend>(ranks);
    if (on_devices_) return std::make_unique<FakeGpuBackend>();
    return nullptr;
  }

  // Of a rank that has them all, or of all shards.
  static std::vector<std::byte> whole_weights(Communicator& ranks, const RunLayout& layout,
                                              const ParameterBuffers& parameters, Device& device) {
    const auto width = static_cast<int64_t>(dtype_bytes(layout.dtype));
    const auto* own = static_cast<const std::byte*>(parameters.weights);
    std::vector<std::byte> whole(static_cast<size_t>(layout.table.buffer_elements() * width));
    if (!parameters.weights_are_sharded()) {
      device.download(whole.data(), own, whole.size());
      return whole;
    }
    const auto shard_bytes = static_cast<size_t>(layout.partition.shard_elements() * width);
    std::vector<std::byte> mine(shard_bytes);
    device.download(mine.data(), own, mine.size());
    std::vector<std::byte> shards(shard_bytes * static_cast<size_t>(ranks.size()));
    ranks.all_gather(std::span<const std::byte>(mine), std::span<std::byte>(shards), "comparing");
    for (int64_t shard = 0; shard < ranks.size(); ++shard) {
      for (const ShardPiece& piece : layout.partition.pieces(shard)) {
        const int64_t to = layout.table.entries()[piece.parameter].offset + piece.begin;
        std::copy_n(
            shards.begin() + static_cast<int64_t>(shard_bytes) * shard + piece.offset * width,
            piece.size() * width, whole.begin() + to * width);
      }
    }
    return whole;
  }

  // f32 sums in another order differ by some 1e-8 of the norm; with this learning rate the losses
  // of 50 steps then differ by 3e-9 (with ten times as much, training itself makes 1e-3 of it), and
  // norms by more, of which weights that differ make another gradient.
  static void expect_equal(const Result& one, const Result& many, double relative = 1e-6) {
    ASSERT_EQ(one.steps.size(), many.steps.size());
    for (size_t i = 0; i < one.steps.size(); ++i) {
      EXPECT_NEAR(many.steps[i].lm_loss, one.steps[i].lm_loss, relative * one.steps[i].lm_loss)
          << i;
      ASSERT_EQ(many.steps[i].grad_norm.has_value(), one.steps[i].grad_norm.has_value()) << i;
      if (const auto norm = one.steps[i].grad_norm) {
        EXPECT_NEAR(*many.steps[i].grad_norm, *norm, 10 * relative * *norm) << i;
      }
      EXPECT_EQ(many.steps[i].skipped_iterations, one.steps[i].skipped_iterations) << i;
      EXPECT_EQ(many.steps[i].consumed_samples, one.steps[i].consumed_samples);
    }
    ASSERT_EQ(one.validations.size(), many.validations.size());
    for (size_t i = 0; i < one.validations.size(); ++i) {
      EXPECT_NEAR(many.validations[i].lm_loss, one.validations[i].lm_loss,
                  relative * one.validations[i].lm_loss);
    }
  }

  static void expect_same_bits(const Result& a, const Result& b) {
    ASSERT_EQ(a.steps.size(), b.steps.size());
    for (size_t i = 0; i < a.steps.size(); ++i) {
      EXPECT_EQ(a.steps[i].lm_loss, b.steps[i].lm_loss) << i;
      EXPECT_EQ(a.steps[i].grad_norm, b.steps[i].grad_norm) << i;
      EXPECT_EQ(a.steps[i].skipped_iterations, b.steps[i].skipped_iterations) << i;
    }
    ASSERT_EQ(a.validations.size(), b.validations.size());
    for (size_t i = 0; i < a.validations.size(); ++i) {
      EXPECT_EQ(a.validations[i].lm_loss, b.validations[i].lm_loss) << i;
    }
    EXPECT_TRUE(std::ranges::equal(a.weights, b.weights));
  }

  const TemporaryFolder folder_;
  RunConfig config_;
  bool on_devices_ = false;  // each rank has one (support/fake_gpu.h)
  bool on_group_ = false;    // and they reach each other (support/fake_group.h)
  bool save_in_background_ = false;
  bool weights_are_late_ = false;  // (support/late_weights.h)
  std::function<void(int64_t rank, int64_t iteration)> after_step_;
};

}  // namespace borealis::testing
