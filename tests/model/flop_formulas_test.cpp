// Against figures of the published report: its rates, and the TFLOPs that each formula makes of
// them, computed from the formulas by hand (in double precision, elsewhere).
#include "model/flop_formulas.h"

#include <gtest/gtest.h>

#include "model/accounting.h"

namespace borealis {
namespace {

struct KnownRow {
  int64_t layers;
  int64_t parameters;
  double tokens_per_second;
  double lm, ds, causal, six_n_attention;  // TFLOP/s, to 0.01
};

ModelConfig shape(int64_t hidden, int64_t heads, int64_t kv_heads, int64_t ffn, int64_t layers) {
  ModelConfig model;
  model.num_hidden_layers = layers;
  model.hidden_size = hidden;
  model.num_attention_heads = heads;
  model.num_key_value_heads = kv_heads;
  model.head_dim = hidden / heads;
  model.intermediate_size = ffn;
  model.vocab_size = 256000;
  model.rope_on_layer.assign(static_cast<size_t>(layers), true);
  return model;
}

void expect_row(const ModelConfig& model, const KnownRow& row) {
  EXPECT_EQ(parameter_count(model), row.parameters);
  const auto tflops = [&](const char* key) {
    return flop_formula(key).flops_per_token(model, 8192) * row.tokens_per_second * 1e-12;
  };
  // Half a unit of the last printed digit, and the rate's own rounding.
  constexpr double kPrinted = 0.006;
  EXPECT_NEAR(tflops("lm"), row.lm, kPrinted);
  EXPECT_NEAR(tflops("ds"), row.ds, kPrinted);
  EXPECT_NEAR(tflops("causal"), row.causal, kPrinted);
  EXPECT_NEAR(tflops("6n_attention"), row.six_n_attention, kPrinted);
  EXPECT_DOUBLE_EQ(flop_formula("6n").flops_per_token(model, 8192),
                   6 * static_cast<double>(row.parameters));
}

TEST(FlopFormulas, OfLlama3Shapes) {
  for (const KnownRow& row : {KnownRow{4, 1975544832, 8018.19, 66.89, 65.68, 62.05, 104.73},
                              KnownRow{6, 2176883712, 6786.92, 68.92, 67.38, 62.77, 100.94},
                              KnownRow{8, 2378222592, 5874.07, 70.29, 68.52, 63.20, 98.01},
                              KnownRow{10, 2579561472, 5179.05, 71.36, 69.40, 63.54, 95.80},
                              KnownRow{12, 2780900352, 4646.39, 72.44, 70.33, 64.02, 94.36},
                              KnownRow{14, 2982239232, 4202.01, 73.12, 70.90, 64.24, 92.95}}) {
    expect_row(shape(3072, 24, 8, 8192, row.layers), row);
  }
}

TEST(FlopFormulas, OfSmolLM3Shapes) {
  for (const KnownRow& row : {KnownRow{8, 1673562112, 7314.67, 62.22, 61.48, 56.33, 85.23},
                              KnownRow{10, 1829808128, 6447.79, 63.49, 62.67, 57.00, 83.77},
                              KnownRow{12, 1986054144, 5780.72, 64.66, 63.79, 57.68, 82.85},
                              KnownRow{14, 2142300160, 5238.77, 65.62, 64.70, 58.24, 82.10},
                              KnownRow{16, 2298546176, 4733.60, 65.64, 64.68, 58.01, 80.53},
                              KnownRow{18, 2454792192, 4363.12, 66.35, 65.36, 58.44, 80.07}}) {
    expect_row(shape(2048, 16, 4, 11008, row.layers), row);
  }
}

}  // namespace
}  // namespace borealis
