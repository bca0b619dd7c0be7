// A run whose memory is a device's (support/fake_gpu.h) has the bits of one on the host.
#include <gtest/gtest.h>

#include <filesystem>

#include "model/step_kernels.h"
#include "support/device_run.h"
#include "support/fake_gpu.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

class DeviceTrainerTest : public testing::DeviceRunTest {};

TEST_P(DeviceTrainerTest, HasTheHostsBits) {
  config_.output.save_checkpoints = false;
  testing::FakeGpuBackend gpu;
  for (const bool recompute : {false, true}) {
    config_.recompute = {.enabled = recompute, .layers_per_segment = 1};
    ASSERT_TRUE(make_run_layout(config_, 2).embedding_rows);
    const Result on_host = run(cpu_backend());
    EXPECT_EQ(on_host.losses.size(), 8u);
    EXPECT_EQ(on_host.validations.size(), 3u);  // at two intervals and at the end
    EXPECT_EQ(run(gpu), on_host);
  }
  config_.model.tie_word_embeddings = true;  // whose gradient is dense
  EXPECT_EQ(run(gpu), run(cpu_backend()));
}

TEST_P(DeviceTrainerTest, WhatOneDeviceSavesAnotherGoesOnFrom) {
  config_.output.save_checkpoints = false;
  const Result whole = run(cpu_backend());
  config_.output.save_checkpoints = true;
  testing::FakeGpuBackend gpu;
  Backend* const backends[] = {&gpu, &cpu_backend()};
  for (Backend* first : backends) {
    for (Backend* second : backends) {
      fs::remove_all(config_.output.checkpoint_dir);
      Result parts = run(*first, 3);
      const Result rest = run(*second);
      parts.losses.insert(parts.losses.end(), rest.losses.begin(), rest.losses.end());
      parts.norms.insert(parts.norms.end(), rest.norms.begin(), rest.norms.end());
      EXPECT_EQ(parts.losses, whole.losses);
      EXPECT_EQ(parts.norms, whole.norms);
    }
  }
}

TEST_P(DeviceTrainerTest, StepsAreProfiledByTheDevicesMarks) {
  config_.output.save_checkpoints = false;
  testing::FakeGpuBackend gpu;
  const RunLayout layout = make_run_layout(config_, 2, gpu.gpu());
  Profiler profiler(step_kernels(layout), {2, 4}, most_kernel_calls(layout));
  run(gpu, {}, &profiler);
  ASSERT_EQ(profiler.steps().size(), 2u);
  ASSERT_GT(profiler.events().size(), 50u);
  for (const KernelEvent& event : profiler.events()) {
    const StepSpan& step = profiler.steps()[event.start_ns < profiler.steps()[1].start_ns ? 0 : 1];
    EXPECT_GE(event.duration_ns, 0);
    EXPECT_GE(event.start_ns, step.start_ns);
    EXPECT_LE(event.start_ns + event.duration_ns, step.start_ns + step.duration_ns);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DeviceTrainerTest, ::testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace borealis
