// Training by CUDA's part of the program, its own kernels among it, on a grid and streams of the
// CPU: against the host's, whose sums have another order.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "cuda_run/emulated_backend.h"
#include "model/step_kernels.h"
#include "support/device_run.h"

namespace borealis {
namespace {

class CudaTrainerTest : public testing::DeviceRunTest {
 protected:
  // Of losses and norms of a few steps: f32 sums of other orders differ by some 1e-7, and training
  // makes more of it; one rounding to bf16 that falls to the other side is 1/256 of an element.
  double relative() const { return GetParam() == DType::kF32 ? 2e-5 : 5e-3; }
  void expect_near(const std::vector<double>& of_gpu, const std::vector<double>& of_host) {
    ASSERT_EQ(of_gpu.size(), of_host.size());
    for (size_t i = 0; i < of_gpu.size(); ++i) {
      EXPECT_NEAR(of_gpu[i], of_host[i], relative() * std::abs(of_host[i])) << i;
    }
  }
  void expect_near(const Result& of_gpu, const Result& of_host) {
    expect_near(of_gpu.losses, of_host.losses);
    expect_near(of_gpu.norms, of_host.norms);
    expect_near(of_gpu.validations, of_host.validations);
  }

  const std::unique_ptr<Backend> gpu_ = testing::open_emulated_cuda();
};

TEST_P(CudaTrainerTest, FollowsTheHost) {
  config_.output.save_checkpoints = false;
  ASSERT_TRUE(make_run_layout(config_, 2, gpu_->gpu()).embedding_rows);
  const Result of_gpu = run(*gpu_);
  expect_near(of_gpu, run(cpu_backend()));
  EXPECT_EQ(run(*gpu_), of_gpu) << "two runs have the same bits";
  config_.recompute = {.enabled = true, .layers_per_segment = 1};
  EXPECT_EQ(run(*gpu_), of_gpu) << "recomputed activations have the same bits";
}

TEST_P(CudaTrainerTest, AlsoWithTiedHeads) {
  config_.output.save_checkpoints = false;
  config_.model.tie_word_embeddings = true;  // whose gradient is dense
  expect_near(run(*gpu_), run(cpu_backend()));
}

TEST_P(CudaTrainerTest, WhatOneDeviceSavesAnotherGoesOnFrom) {
  config_.output.save_checkpoints = false;
  const Result whole = run(*gpu_);
  config_.output.save_checkpoints = true;
  const auto in_parts = [&](Backend& first, Backend& second) {
    std::filesystem::remove_all(config_.output.checkpoint_dir);
    Result parts = run(first, 3);
    const Result rest = run(second);
    parts.losses.insert(parts.losses.end(), rest.losses.begin(), rest.losses.end());
    return parts.losses;
  };
  EXPECT_EQ(in_parts(*gpu_, *gpu_), whole.losses);
  expect_near(in_parts(*gpu_, cpu_backend()), whole.losses);
  expect_near(in_parts(cpu_backend(), *gpu_), whole.losses);
}

TEST_P(CudaTrainerTest, StepsAreProfiledByTheDevicesMarks) {
  config_.output.save_checkpoints = false;
  const RunLayout layout = make_run_layout(config_, 2, gpu_->gpu());
  Profiler profiler(step_kernels(layout), {2, 4}, most_kernel_calls(layout));
  run(*gpu_, {}, &profiler);
  ASSERT_EQ(profiler.steps().size(), 2u);
  for (const StepSpan& step : profiler.steps()) {
    int64_t kernels_ns = 0, calls = 0;
    for (const KernelEvent& event : profiler.events()) {
      if (event.start_ns < step.start_ns) continue;
      if (event.start_ns > step.start_ns + step.duration_ns) continue;
      EXPECT_GE(event.duration_ns, 0);
      kernels_ns += event.duration_ns;
      ++calls;
    }
    EXPECT_GT(calls, 50);
    EXPECT_LE(kernels_ns, step.duration_ns) << "one stream does one thing at a time";
  }
}

TEST_P(CudaTrainerTest, GivesAllMemoryBack) {
  config_.limits.train_iters = 1;
  const int64_t before = gpu_->device().memory().free_bytes;
  run(*gpu_);
  EXPECT_EQ(gpu_->device().memory().free_bytes, before);
}

INSTANTIATE_TEST_SUITE_P(Types, CudaTrainerTest, ::testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace borealis
