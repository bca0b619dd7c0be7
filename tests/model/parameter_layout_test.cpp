#include "model/parameter_layout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/small_models.h"

namespace borealis {
namespace {

using testing::small_llama;

struct Drawn {
  ParameterTable table;
  std::vector<float> values;
  explicit Drawn(const ModelConfig& model, uint64_t seed = 1234)
      : table(make_parameter_table(model)), values(static_cast<size_t>(table.buffer_elements())) {
    initialize_parameters({&table, DType::kF32, values.data(), nullptr}, seed);
  }
  double std_of(const std::string& name) const {
    const Parameter& p = table.at(name);
    double sum = 0;
    for (int64_t i = 0; i < p.size(); ++i) {
      sum += std::pow(values[static_cast<size_t>(p.offset + i)], 2);
    }
    return std::sqrt(sum / static_cast<double>(p.size()));
  }
};

TEST(ParameterLayout, FusedMatricesLieBehindOneAnother) {
  const ParameterTable table = make_parameter_table(small_llama());
  const auto follows = [&](const std::string& first, const std::string& second) {
    return table.at(second).offset == table.at(first).offset + table.at(first).size();
  };
  for (const std::string layer : {"model.layers.0.", "model.layers.2."}) {
    EXPECT_TRUE(follows(layer + "self_attn.q_proj.weight", layer + "self_attn.k_proj.weight"));
    EXPECT_TRUE(follows(layer + "self_attn.k_proj.weight", layer + "self_attn.v_proj.weight"));
    EXPECT_TRUE(follows(layer + "mlp.gate_proj.weight", layer + "mlp.up_proj.weight"));
  }
}

TEST(ParameterLayout, ATiedModelHasNoHead) {
  ModelConfig model = small_llama();
  EXPECT_NE(make_parameter_table(model).find("lm_head.weight"), nullptr);
  model.tie_word_embeddings = true;
  EXPECT_EQ(make_parameter_table(model).find("lm_head.weight"), nullptr);
}

TEST(Initialization, SpreadsAsTheContractSays) {
  ModelConfig model = small_llama();
  model.vocab_size = 4096;
  const Drawn drawn(model);
  const double std = model.init_method_std, output = std / std::sqrt(6.0);
  // estimates over at least 576 values: three standard errors are under 9 %
  EXPECT_NEAR(drawn.std_of("model.embed_tokens.weight") / std, 1.0, 0.02);
  EXPECT_NEAR(drawn.std_of("lm_head.weight") / std, 1.0, 0.02);
  EXPECT_NEAR(drawn.std_of("model.layers.1.self_attn.q_proj.weight") / std, 1.0, 0.09);
  EXPECT_NEAR(drawn.std_of("model.layers.1.self_attn.o_proj.weight") / output, 1.0, 0.09);
  EXPECT_NEAR(drawn.std_of("model.layers.1.mlp.down_proj.weight") / output, 1.0, 0.09);
  EXPECT_EQ(drawn.std_of("model.norm.weight"), 1.0);
}

TEST(Initialization, MeantEmbeddingsAreWide) {
  ModelConfig model = small_llama();
  model.init_style = InitStyle::kMeant;
  EXPECT_NEAR(Drawn(model).std_of("model.embed_tokens.weight"), 0.632, 0.02);
}

TEST(Initialization, WithoutASpreadMatricesAreZeroAndGainsOne) {
  ModelConfig model = small_llama();
  model.init_method_std = 0;
  const Drawn drawn(model);
  EXPECT_EQ(drawn.std_of("model.layers.1.self_attn.q_proj.weight"), 0.0);
  EXPECT_EQ(drawn.std_of("model.norm.weight"), 1.0);
}

TEST(Initialization, DependsOnTheSeedAndOnNothingElse) {
  const Drawn one(small_llama()), same(small_llama()), other(small_llama(), 99);
  EXPECT_EQ(one.values, same.values);
  EXPECT_NE(one.values, other.values);
}

}  // namespace
}  // namespace borealis
