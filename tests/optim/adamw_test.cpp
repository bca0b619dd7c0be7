#include "optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace borealis {
namespace {

struct Fixture {
  ParameterTable table;
  std::vector<float> weights, gradients;
  ParameterBuffers parameters;

  Fixture() {
    table.add({"matrix", {3, 5}, 0, /*weight_decay=*/true, 0.02, std::nullopt});
    table.add({"norm", {5}, 0, /*weight_decay=*/false, 0, std::nullopt});
    weights.assign(static_cast<size_t>(table.buffer_elements()), 0.0f);
    gradients = weights;
    for (const Parameter& p : table.entries()) {
      for (int64_t i = 0; i < p.size(); ++i) weights[static_cast<size_t>(p.offset + i)] = 1.0f;
    }
    parameters = {&table, DType::kF32, weights.data(), gradients.data()};
  }
};

TEST(AdamW, DecaysMatricesAndSparesNormGains) {
  Fixture f;
  OptimizerConfig config;
  config.weight_decay = 0.5;
  AdamW optimizer(config, f.parameters);
  optimizer.step(0.1, 1.0);  // all gradients are zero: only decay acts
  EXPECT_FLOAT_EQ(f.weights[0], 1.0f - 0.1f * 0.5f);
  EXPECT_EQ(f.weights[static_cast<size_t>(f.table.at("norm").offset)], 1.0f);
  EXPECT_EQ(f.weights[15], 0.0f);  // the gap between two parameters stays empty
}

TEST(AdamW, FollowsItsFormulaOverSteps) {
  Fixture f;
  OptimizerConfig config;  // contract's: 0.9, 0.95, 1e-5, 0.1
  AdamW optimizer(config, f.parameters);
  double w = 1, m = 0, v = 0;
  for (int t = 1; t <= 5; ++t) {
    const double g = 0.1 * t - 0.25, scale = 0.5;
    f.gradients[0] = static_cast<float>(g);
    optimizer.step(1e-2, scale);
    m = 0.9 * m + 0.1 * g * scale;
    v = 0.95 * v + 0.05 * g * scale * g * scale;
    w -= 1e-2 * 0.1 * w;
    w -= 1e-2 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-5);
    EXPECT_NEAR(f.weights[0], w, 1e-6) << t;
  }
}

TEST(GradNorm, CountsEveryParameterOnce) {
  Fixture f;
  f.gradients[3] = 3.0f;
  f.gradients[static_cast<size_t>(f.table.at("norm").offset) + 4] = 4.0f;
  EXPECT_DOUBLE_EQ(global_grad_norm(f.parameters), 5.0);
  f.gradients[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(global_grad_norm(f.parameters)));
  f.gradients[0] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(global_grad_norm(f.parameters)));
}

TEST(ClipFactor, ActsOnlyAboveTheLimit) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 2.0), 2.0 / (4.0 + 1e-6));  // CLIP_GRAD counts
  EXPECT_EQ(clip_factor(4.0, 0.0), 1.0);                        // 0 switches clipping off
}

}  // namespace
}  // namespace borealis
