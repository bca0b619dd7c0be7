#include "planner/step_time.h"

#include <gtest/gtest.h>

#include "model/accounting.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using testing::report_llama3;
using testing::small_llama;

StepShape report_shape(int64_t layers) {
  return {.model = report_llama3(layers), .seq_length = 8192, .grad_accum_steps = 2};
}

// The model's FLOPs are counted elsewhere, from the reference's formula, and held there against the
// reference's logs.
TEST(StepTime, ProductsAndAttentionAreTheLmFormula) {
  const StepShape shape = report_shape(14);
  const StepVector units = step_units(shape, TrainingStack::kMegatronDeepSpeed);
  EXPECT_NEAR(
      (units[kProducts] + units[kAttention]) / (flops_per_token(shape.model, 8192) * 2 * 8192), 1,
      1e-12);
  EXPECT_EQ(units[kParameters], 2'982'239'232);
  EXPECT_EQ(units[kSteps], 1);
}

// All layers in the reference; in our own program those before the last segment.
TEST(StepTime, RecomputeIsOneMoreForwardPass) {
  StepShape shape = report_shape(8);
  const StepVector kept = step_units(shape, TrainingStack::kMegatronDeepSpeed);
  const double head = 6.0 * 2 * 8192 * 256000 * 3072;
  const auto expect = [&](int64_t segment, TrainingStack stack, double share) {
    shape.recompute_segment = segment;
    const StepVector again = step_units(shape, stack);
    EXPECT_NEAR((again[kProducts] - head) / (kept[kProducts] - head), 1 + share / 3, 1e-12);
    EXPECT_NEAR(again[kAttention] / kept[kAttention], 1 + share * 2 / 7, 1e-12);
    EXPECT_EQ(again[kParameters], kept[kParameters]);
  };
  expect(1, TrainingStack::kMegatronDeepSpeed, 1);
  expect(1, TrainingStack::kBorealis, 7.0 / 8);
  expect(3, TrainingStack::kBorealis, 6.0 / 8);
  expect(8, TrainingStack::kBorealis, 0);
}

// Counted by hand: 3 layers, D = 48, Q = 48, R = 24, F = 100, V = 128, 2 x 32 rows.
TEST(StepTime, TrafficIsThatOfTheHeader) {
  const StepShape shape = {
      .model = small_llama(), .seq_length = 32, .micro_batch_size = 2, .grad_accum_steps = 3};
  const StackTraffic c = stack_traffic(TrainingStack::kBorealis);
  const double rows = 64;
  const double elements = rows * (c.hidden * 48 + c.attention * (48 + 48) + c.intermediate * 100);
  // qkv 48 -> 96, output 48 -> 48, gate and up 48 -> 200, down 100 -> 48
  const double sides = (48 + 96) + (48 + 48) + (48 + 200) + (100 + 48);
  const double weights = 48 * 96 + 48 * 48 + 48 * 200 + 100 * 48;
  const double layer = elements + 6 * rows * sides + (4 + c.gradient) * weights;
  const double head =
      rows * c.vocabulary * 128 + 6 * rows * (48 + 128) + (4 + c.gradient) * 48 * 128;
  const StepVector units = step_units(shape, TrainingStack::kBorealis);
  EXPECT_NEAR(units[kTraffic], 3 * (3 * layer + head), 1e-6);
}

TEST(StepTime, Fp32MovesTwiceTheElements) {
  StepShape shape = report_shape(4);
  const double narrow = step_units(shape, TrainingStack::kBorealis)[kTraffic];
  shape.dtype = DType::kF32;
  const double wide = step_units(shape, TrainingStack::kBorealis)[kTraffic];
  EXPECT_GT(wide, 1.7 * narrow);
  EXPECT_LT(wide, 2 * narrow) << "gradients are f32 in both";
}

// Each rank updates its shard; the reference's constants were fitted with all of it.
TEST(StepTime, FromZero1OnARankUpdatesItsShard) {
  StepShape shape = report_shape(4);
  shape.hosts = 2;
  shape.ranks_per_host = 12;
  const auto parameters = [&](TrainingStack stack, int64_t stage) {
    shape.zero_stage = stage;
    return step_units(shape, stack)[kParameters];
  };
  const double N = 1'975'544'832;
  EXPECT_EQ(parameters(TrainingStack::kBorealis, 0), N);
  for (const int64_t stage : {1, 2, 3}) {
    EXPECT_DOUBLE_EQ(parameters(TrainingStack::kBorealis, stage), N / 24);
    EXPECT_EQ(parameters(TrainingStack::kMegatronDeepSpeed, stage), N);
  }
}

}  // namespace
}  // namespace borealis
