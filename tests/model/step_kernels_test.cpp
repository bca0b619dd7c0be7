#include "model/step_kernels.h"

#include <gtest/gtest.h>

#include <set>

#include "model/accounting.h"
#include "support/small_models.h"

namespace borealis {
namespace {

double flops_of(const std::vector<KernelInfo>& kernels, std::initializer_list<StepKernel> which) {
  double sum = 0;
  for (const StepKernel kernel : which) sum += kernels[static_cast<size_t>(kernel)].flops;
  return sum;
}

RunLayout report_layout() {
  RunConfig config;
  config.model = testing::report_llama3(4);
  config.batch.seq_length = 8192;
  return make_run_layout(config, 2);
}

// The formula of the headline counts the same products, attention over the full square.
TEST(StepKernels, ProductsAddUpToTheFormula) {
  using enum StepKernel;
  const RunLayout layout = report_layout();
  const std::vector<KernelInfo> kernels = step_kernels(layout);
  const double products =
      flops_of(kernels, {kQkv, kQkvWeight, kQkvInput, kAttentionOutput, kAttentionOutputWeight,
                         kAttentionOutputInput, kGateUp, kGateUpWeight, kGateUpInput, kDown,
                         kDownWeight, kDownInput});
  // Causal forward is half of the square plus half its diagonal; backward recomputes the scores,
  // which makes five products of four.
  const double T = 8192;
  const double square = 2 * T / (T + 1) * flops_of(kernels, {kAttention}) +
                        2 * T / (T + 1) * flops_of(kernels, {kAttentionBackward}) * 4 / 5;
  const double step = 4 * (products + square) + flops_of(kernels, {kHeadLoss});
  EXPECT_NEAR(step / (8192 * flops_per_token(layout.decoder.model, 8192)), 1, 1e-12);
}

TEST(StepKernels, AllHaveNamesOfTheirOwnAndMoveSomething) {
  std::set<std::string> names;
  for (const KernelInfo& kernel : step_kernels(report_layout())) {
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
    EXPECT_FALSE(kernel.group.empty());
    if (kernel.group == kBesideKernels) continue;  // each call says what it moved
    EXPECT_GT(kernel.bytes, 0) << kernel.name;
  }
}

TEST(StepKernels, ProfiledStepsEndWithTheRun) {
  RunConfig config;
  config.limits.train_iters = 3;
  EXPECT_EQ(profiled_steps(config).count(), 0);
  config.profile = {.enabled = true, .first_iteration = 2, .end_iteration = 5};
  EXPECT_EQ(profiled_steps(config).first, 2);
  EXPECT_EQ(profiled_steps(config).end, 4);
}

}  // namespace
}  // namespace borealis
