// Runs of one rank, whose memory is a device's or the host's.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "support/small_models.h"
#include "support/temporary_folder.h"
#include "train/trainer.h"

namespace borealis::testing {

class DeviceRunTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    config_.model = small_llama(2);
    config_.model.vocab_size = 500;  // of which a step touches a part
    config_.dtype = GetParam();
    config_.batch = {
        .seq_length = 16, .micro_batch_size = 2, .grad_accum_steps = 2, .global_batch_size = 4};
    config_.data.mock_data = true;
    config_.data.split = "80,20,0";
    config_.limits.train_iters = 8;
    config_.limits.eval_interval = 4;
    config_.limits.eval_iters = 1;
    config_.limits.save_interval = 0;
    config_.schedule.learning_rate = 1e-2;
    config_.schedule.warmup_fraction = 0.1;
    config_.output.checkpoint_dir = (folder_.path() / "checkpoints").string();
    config_.output.run_dir = (folder_.path() / "run").string();
    config_.checkpoint.load_dir = config_.output.checkpoint_dir;
    std::filesystem::create_directories(config_.output.run_dir);
  }

  struct Result {
    std::vector<double> losses, norms, validations;
    bool operator==(const Result&) const = default;
  };
  Result run(Backend& backend, std::optional<int64_t> exit_after = {},
             Profiler* profiler = nullptr) {
    RunConfig config = config_;
    config.limits.exit_interval = exit_after;
    StartChooser starts(config);
    const RunStart start = starts.next(config);
    const RunLayout layout = make_run_layout(config, 2, backend.gpu());
    Trainer trainer(config, layout, start,
                    {.measure_gemm = [](std::span<std::byte>) { return 1e11; },
                     .profiler = profiler,
                     .save_in_background = true,
                     .backend = &backend});
    Result result;
    TrainerEvents events;
    events.on_step = [&](const StepRecord& record) {
      result.losses.push_back(record.lm_loss);
      result.norms.push_back(record.grad_norm.value_or(-1));
    };
    events.on_validation = [&](const ValidationRecord& record) {
      result.validations.push_back(record.lm_loss);
    };
    trainer.run(events);
    return result;
  }

  TemporaryFolder folder_;
  RunConfig config_;
};

}  // namespace borealis::testing
