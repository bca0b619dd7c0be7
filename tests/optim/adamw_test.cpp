#include "optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/whole_optimizer.h"

namespace borealis {
namespace {

using testing::whole_grad_norm;
using testing::WholeOptimizer;

Parameter matrix(const char* name, int64_t rows, int64_t cols) {
  return {.name = name,
          .kind = ParameterKind::kProjection,
          .shape = {rows, cols},
          .offset = 0,
          .weight_decay = true,
          .init_std = 0.02};
}

Parameter norm(const char* name, int64_t size) {
  return {.name = name,
          .kind = ParameterKind::kNorm,
          .shape = {size},
          .offset = 0,
          .weight_decay = false,
          .init_std = 0};
}

ParameterTable embedding_and(const Parameter& other, int64_t rows, int64_t cols) {
  ParameterTable table;
  table.begin_unit("embedding");
  Parameter embedding = matrix("embedding", rows, cols);
  embedding.kind = ParameterKind::kEmbedding;
  table.add(embedding);
  table.begin_unit("head");
  table.add(other);
  return table;
}

struct Fixture {
  ParameterTable table;
  std::vector<float> weights, gradients;
  ParameterBuffers parameters;

  Fixture() {
    table.add(matrix("matrix", 3, 5));
    table.add(norm("norm", 5));
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
  WholeOptimizer optimizer(config, f.parameters);
  optimizer.step(0.1, 1.0);  // all gradients are zero: only decay acts
  EXPECT_FLOAT_EQ(f.weights[0], 1.0f - 0.1f * 0.5f);
  EXPECT_EQ(f.weights[static_cast<size_t>(f.table.at("norm").offset)], 1.0f);
  EXPECT_EQ(f.weights[15], 0.0f);  // the gap between two parameters stays empty
}

TEST(AdamW, FollowsItsFormulaOverSteps) {
  Fixture f;
  OptimizerConfig config;  // contract's: 0.9, 0.95, 1e-5, 0.1
  WholeOptimizer optimizer(config, f.parameters);
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

// Three steps of an embedding of which each touches two rows and none row 3, against the dense
// gradient of the same values.
TEST(AdamW, UpdatesAnEmbeddingByRowsAsIfItsGradientWereDense) {
  constexpr int64_t kRows = 6, kSize = 20;
  const ParameterTable table = embedding_and(norm("norm", 5), kRows, kSize);
  const auto elements = static_cast<size_t>(table.buffer_elements());
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    std::vector<float> dense_weights(elements, 1.0f), weights = dense_weights;
    std::vector<float> dense(elements, 0.0f), norms(elements, 0.0f);
    const RowGradientsShape shape{kRows, kSize, 4, 2};
    Arena rows_memory(shape.bytes(), "rows");
    RowGradients by_rows(shape, rows_memory);
    WholeOptimizer expected({}, {&table, dtype, dense_weights.data(), dense.data()});
    const ParameterBuffers parameters{&table, dtype, weights.data(), norms.data(), &by_rows};
    WholeOptimizer optimizer({}, parameters);
    for (const auto& ids :
         {std::vector<int32_t>{4, 1}, std::vector<int32_t>{1, 0}, std::vector<int32_t>{5, 4}}) {
      std::fill(dense.begin(), dense.end(), 0.0f);
      by_rows.clear();
      by_rows.slots(ids);
      for (int64_t i = 0; i < 2 * kSize; ++i) {
        const float g = 0.01f * static_cast<float>(i - 7);
        by_rows.values()[i] = g;
        dense[static_cast<size_t>(ids[static_cast<size_t>(i / kSize)] * kSize + i % kSize)] = g;
      }
      EXPECT_DOUBLE_EQ(whole_grad_norm(parameters),
                       whole_grad_norm({&table, dtype, dense_weights.data(), dense.data()}));
      expected.step(0.1, 0.5);
      optimizer.step(0.1, 0.5);
      EXPECT_EQ(weights, dense_weights);
    }
    // Rows 0, 1, 4 and 5 had a gradient; their moments say so, too, when they come from a file.
    EXPECT_EQ(optimizer.state.had_gradient[0], 0b110011u);
    optimizer.state.had_gradient[0] = 0b001100u;
    mark_rows_with_history(optimizer.partition.pieces(0)[0], kSize, optimizer.state);
    EXPECT_EQ(optimizer.state.had_gradient[0], 0b110011u);
  }
}

// Every other step moves the state, which must make no difference: not to rows whose moments are
// updated, nor to those that only decay until they have a gradient.
TEST(AdamW, MovesItsStateWithoutADifference) {
  constexpr int64_t kRows = 6, kSize = 20;
  const ParameterTable table = embedding_and(matrix("head", 7, kSize), kRows, kSize);
  const auto elements = static_cast<size_t>(table.buffer_elements());
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    std::vector<float> still_weights(elements, 1.0f), weights = still_weights;
    std::vector<float> gradients(elements, 0.0f);
    const RowGradientsShape shape{kRows, kSize, 4, 2};
    Arena rows_memory(shape.bytes(), "rows");
    RowGradients by_rows(shape, rows_memory);
    const ParameterBuffers still_parameters{&table, dtype, still_weights.data(), gradients.data(),
                                            &by_rows};
    const ParameterBuffers parameters{&table, dtype, weights.data(), gradients.data(), &by_rows};
    WholeOptimizer still({}, still_parameters), optimizer({}, parameters);
    const OptimizerState first = optimizer.state;
    Arena other_memory = WholeOptimizer::memory_for(parameters, host_device());
    const OptimizerState second = WholeOptimizer::state_in(parameters, other_memory);
    for (int32_t t = 0; t < 6; ++t) {
      by_rows.clear();
      by_rows.slots(std::vector<int32_t>{t % 5, 2});
      for (int64_t i = 0; i < 2 * kSize; ++i) {
        by_rows.values()[i] = 0.01f * static_cast<float>(i - 7 + t);
      }
      gradients.back() = 0.5f;
      const bool moves = t % 2 == 1;
      const bool in_first = optimizer.state.first_moment == first.first_moment;
      const std::vector<float> old_moments(optimizer.state.first_moment,
                                           optimizer.state.first_moment + elements);
      const float* old = optimizer.state.first_moment;
      still.step(0.1, 0.5);
      optimizer.adamw.step(0.1, 0.5, moves ? (in_first ? &second : &first) : nullptr);
      EXPECT_EQ(optimizer.state.first_moment != old, moves);
      EXPECT_EQ(std::equal(old_moments.begin(), old_moments.end(), old), moves);
      EXPECT_EQ(weights, still_weights);
      const auto same = [elements](const auto* a, const auto* b) {
        return std::equal(a, a + elements, b);
      };
      EXPECT_TRUE(same(optimizer.state.first_moment, still.state.first_moment));
      EXPECT_TRUE(same(optimizer.state.second_moment, still.state.second_moment));
      if (dtype == DType::kBF16) {
        EXPECT_TRUE(same(optimizer.state.master_remainder, still.state.master_remainder));
      }
      EXPECT_EQ(optimizer.state.had_gradient[0], still.state.had_gradient[0]);
    }
  }
}

TEST(GradNorm, CountsEveryParameterOnce) {
  Fixture f;
  f.gradients[3] = 3.0f;
  f.gradients[static_cast<size_t>(f.table.at("norm").offset) + 4] = 4.0f;
  EXPECT_DOUBLE_EQ(whole_grad_norm(f.parameters), 5.0);
  f.gradients[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(whole_grad_norm(f.parameters)));
  f.gradients[0] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(whole_grad_norm(f.parameters)));
}

TEST(ClipFactor, ActsOnlyAboveTheLimit) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 2.0), 2.0 / (4.0 + 1e-6));  // CLIP_GRAD counts
  EXPECT_EQ(clip_factor(4.0, 0.0), 1.0);                        // 0 switches clipping off
}

}  // namespace
}  // namespace borealis
