#include "config/presets.h"

#include <gmock/gmock.h>

#include <set>

#include "config/environment.h"
#include "config/support.h"

namespace borealis::testing {
namespace {

using ::testing::HasSubstr;

// Parameters of the untied Llama block (contract section 2.6), and of its tied variant.
int64_t parameters(const ModelConfig& model) {
  const int64_t h = model.hidden_size;
  const int64_t layer = 2 * h * model.query_size() + 2 * h * model.key_value_size() +
                        3 * h * model.intermediate_size + 2 * h;
  const int64_t matrices = model.tie_word_embeddings ? 1 : 2;
  return matrices * model.vocab_size * h + model.num_hidden_layers * layer + h;
}

RunConfig with_gemma(const Variables& variables) {
  return load_as_given(variables, {"--mock-data"});
}

struct Size {
  const char* model_arch;
  const char* layers;
  const char* name;
  int64_t parameters;
};

// The twelve models of the performance report, to the last digit.
TEST(Presets, CountTheReportsModels) {
  for (const Size& size : {
           Size{"llama3-3B", "4", "llama3-3B-nLayers4", 1'975'544'832},
           Size{"llama3-3B", "6", "llama3-3B-nLayers6", 2'176'883'712},
           Size{"llama3-3B", "8", "llama3-3B-nLayers8", 2'378'222'592},
           Size{"llama3-3B", "10", "llama3-3B-nLayers10", 2'579'561'472},
           Size{"llama3-3B", "12", "llama3-3B-nLayers12", 2'780'900'352},
           Size{"llama3-3B", "14", "llama3-3B-nLayers14", 2'982'239'232},
           Size{"smollm3-3B", "8", "smollm3-nLayers8", 1'673'562'112},
           Size{"smollm3-3B", "10", "smollm3-nLayers10", 1'829'808'128},
           Size{"smollm3-3B", "12", "smollm3-nLayers12", 1'986'054'144},
           Size{"smollm3-3B", "14", "smollm3-nLayers14", 2'142'300'160},
           Size{"smollm3-3B", "16", "smollm3-nLayers16", 2'298'546'176},
           Size{"smollm3-3B", "18", "smollm3-nLayers18", 2'454'792'192},
       }) {
    const RunConfig run = with_gemma({{"MODEL_ARCH", size.model_arch}, {"NLAYERS", size.layers}});
    EXPECT_EQ(run.model.name, size.name);
    EXPECT_EQ(parameters(run.model), size.parameters) << size.name;
    EXPECT_EQ(run.model.hf_model_type, "llama");
    EXPECT_FALSE(run.model.tie_word_embeddings);
  }
}

// Totals of the contract's presets as they are.
TEST(Presets, CountTheContractsModels) {
  for (const Size& size : {
           Size{"7B", "32", "AuroraGPT-7B", 7'768'117'248},
           Size{"2B", "12", "AuroraGPT-2B", 1'986'054'144},
           Size{"llama-3B", "28", "llama3-3B-nLayers28", 4'391'611'392},
           Size{"smollm3_3B", "24", "smollm3-nLayers24", 2'923'530'240},
           Size{"phi4_mini", "24", "phi4-mini-nLayers24", 3'951'184'896},
           Size{"33B", "78", "AuroraGPT-33B", 37'147'834'620},
           Size{"70B", "80", "AuroraGPT-70B", 72'646'664'192},
       }) {
    const RunConfig run = with_gemma({{"MODEL_ARCH", size.model_arch}});
    EXPECT_EQ(run.model.name, size.name);
    EXPECT_EQ(std::to_string(run.model.num_hidden_layers), size.layers);
    EXPECT_EQ(parameters(run.model), size.parameters) << size.name;
    EXPECT_EQ(run.model.rope_theta, 50000);
    EXPECT_EQ(run.model.rms_norm_eps, 1e-5);
    EXPECT_EQ(run.model.max_position_embeddings, run.batch.seq_length);
  }
}

TEST(Presets, KeepReleasedModelsApart) {
  const RunConfig released = with_gemma({{"MODEL_ARCH", "SmolLM3-3B"}});
  EXPECT_EQ(released.model.name, "SmolLM3-3B");
  EXPECT_EQ(released.model.hf_model_type, "smollm3");
  EXPECT_EQ(released.model.num_hidden_layers, 36);
  EXPECT_EQ(released.model.vocab_size, 128256);
  EXPECT_EQ(released.model.rope_theta, 5e6);
  EXPECT_EQ(released.model.rms_norm_eps, 1e-6);
  EXPECT_EQ(released.model.max_position_embeddings, released.batch.seq_length);
  EXPECT_TRUE(released.model.tie_word_embeddings);
  EXPECT_EQ(parameters(released.model), 3'075'098'624);
  for (size_t layer = 0; layer < 36; ++layer) {
    EXPECT_EQ(released.model.rope_on_layer[layer], layer % 4 != 3) << layer;
  }
  EXPECT_THAT(released.model.note, HasSubstr("MODEL_ARCH=smollm3-3B"));

  const RunConfig reference = with_gemma({{"MODEL_ARCH", "smollm3-3B"}});
  EXPECT_THAT(reference.model.note, HasSubstr("RoPE in every layer"));
  EXPECT_THAT(reference.model.note, HasSubstr("MODEL_ARCH=SmolLM3-3B"));
  for (const bool rope : reference.model.rope_on_layer) EXPECT_TRUE(rope);
}

TEST(Presets, KnowTheReleasedLlamas) {
  const ModelConfig one = with_gemma({{"MODEL_ARCH", "Llama-3.2-1B"}}).model;
  EXPECT_EQ(one.head_dim, 64);
  EXPECT_EQ(parameters(one), 1'235'814'400);
  const ModelConfig three = with_gemma({{"MODEL_ARCH", "Llama-3.2-3B"}}).model;
  EXPECT_EQ(three.head_dim, 128);
  EXPECT_EQ(parameters(three), 3'212'749'824);
  for (const ModelConfig& model : {one, three}) {
    EXPECT_EQ(model.hf_model_type, "llama");
    EXPECT_EQ(model.rope_theta, 500000);
    EXPECT_EQ(model.max_position_embeddings, 8192);
    ASSERT_TRUE(model.rope_scaling);
    EXPECT_EQ(model.rope_scaling->factor, 32);
    EXPECT_EQ(model.rope_scaling->low_freq_factor, 1);
    EXPECT_EQ(model.rope_scaling->high_freq_factor, 4);
    EXPECT_EQ(model.rope_scaling->original_max_position_embeddings, 8192);
  }
}

TEST(Presets, SayWhenAReleasedShapeIsChanged) {
  const ModelConfig model =
      load_as_given({{"MODEL_ARCH", "SmolLM3-3B"}, {"NLAYERS", "8"}, {"SEQ", "512"}},
                    {"--mock-data"})
          .model;
  EXPECT_EQ(model.name, "SmolLM3-3B-nLayers8");
  EXPECT_THAT(model.note, HasSubstr("8 layers instead of 36"));
}

TEST(Presets, TakeEveryNameOfTheContract) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> names = {
      {"AuroraGPT-7B",
       {"7B", "AuroraGPT-7B", "aurora-gpt-7b", "llama-3.1-7B", "llama-3.1-7b", "llama-3.2-7B",
        "llama-3.2-7b"}},
      {"AuroraGPT-2B",
       {"2B", "AuroraGPT-2B", "AuroraGPT_2B", "Aurora-GPT-2B", "AuroraGPT2B", "Aurora_GPT_2B",
        "aurora-gpt-2b", "aurora_gpt_2b"}},
      {"llama3-3B-nLayers28", {"llama3-3B", "llama-3B"}},
      {"smollm3-nLayers24", {"smollm3-3B", "smollm3_3B"}},
      {"phi4-mini-nLayers24", {"phi4-mini", "phi4_mini"}},
      {"AuroraGPT-70B", {"70B"}},
      {"AuroraGPT-33B", {"33B", "llama-3.2-33B", "llama-3.2-33b"}}};
  for (const auto& [rewritten, accepted] : names) {
    for (const std::string& name : accepted) {
      EXPECT_EQ(with_gemma({{"MODEL_ARCH", name}}).model.name, rewritten) << name;
    }
  }
}

TEST(Presets, NamesAreUniqueAndListedWhenUnknown) {
  const Refusal refused = refusal({{"MODEL_ARCH", "llama3-4B"}});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text, HasSubstr("MODEL_ARCH=llama3-4B is not a known architecture; did you "
                                      "mean llama3-3B? known are "));
  std::set<std::string_view> seen;
  for (const std::string_view name : preset_names()) {
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_THAT(refused.text, HasSubstr(std::string(name)));
  }
}

TEST(Presets, CaseMatters) {
  EXPECT_THAT(refusal({{"MODEL_ARCH", "SMOLLM3-3B"}}).text, HasSubstr("not a known architecture"));
}

TEST(Presets, DefaultModelIsSmallAndSaysHowToGetTheReferences) {
  const RunConfig run = load({});
  EXPECT_EQ(run.model.name, "borealis-small");
  EXPECT_EQ(run.model.num_hidden_layers, 4);
  EXPECT_EQ(run.model.hidden_size, 256);
  EXPECT_EQ(run.model.head_dim, 64);
  EXPECT_EQ(run.model.num_key_value_heads, 2);
  EXPECT_EQ(run.model.intermediate_size, 768);
  EXPECT_EQ(run.model.rope_theta, 10000);
  EXPECT_EQ(run.batch.seq_length, 256);
  EXPECT_EQ(run.batch.micro_batch_size, 16);
  EXPECT_EQ(run.batch.global_batch_size, 16);
  EXPECT_EQ(run.limits.train_iters, 300);
  EXPECT_FALSE(run.limits.train_tokens);
  EXPECT_EQ(run.schedule.learning_rate, 2e-3);
  EXPECT_EQ(run.schedule.min_learning_rate, 2e-4);
  EXPECT_EQ(run.limits.eval_iters, 4);
  EXPECT_EQ(run.limits.save_interval, 0);
  EXPECT_EQ(run.data.split, "950,50,0");
  EXPECT_TRUE(holds(run.notes, "MODEL_ARCH=7B"));
}

TEST(Presets, DefaultsOfTheSmallModelYieldToTheUser) {
  const RunConfig run = load({{"MICRO_BATCH", "2"}, {"LR", "1e-4"}, {"TRAIN_ITERS", "7"}},
                             {"--num-layers", "2", "--rotary-position-embeddings-theta", "500"});
  EXPECT_EQ(run.model.name, "custom");
  EXPECT_EQ(run.model.num_hidden_layers, 2);
  EXPECT_EQ(run.model.hidden_size, 256);
  EXPECT_EQ(run.model.rope_theta, 500);
  EXPECT_EQ(run.batch.micro_batch_size, 2);
  EXPECT_EQ(run.limits.train_iters, 7);
  EXPECT_EQ(run.schedule.learning_rate, 1e-4);
  EXPECT_EQ(run.schedule.min_learning_rate, 0) << "belongs to the model's own learning rate";
  EXPECT_EQ(run.limits.eval_iters, 4);
  EXPECT_TRUE(holds(run.notes, "a shape of your own"));
}

TEST(Presets, PresetsThatFixTheirShapeRefuseTheVariable) {
  const Refusal refused = refusal({{"MODEL_ARCH", "llama3-3B"}, {"HIDDEN", "1024"}});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text, HasSubstr("HIDDEN=1024: MODEL_ARCH=llama3-3B fixes HIDDEN at 3072; "
                                      "unset it, or change the shape with --hidden-size 1024"));
  EXPECT_THAT(refusal({{"MODEL_ARCH", "2B"}, {"NUM_LAYERS", "4"}}).text,
              HasSubstr("NUM_LAYERS=4: MODEL_ARCH=2B fixes NLAYERS at 12"));
  EXPECT_EQ(refusal({{"MODEL_ARCH", "llama3-3B"}, {"HEADS", "24"}, {"SEQ", "8192"}}).text, "")
      << "the preset's own values do no harm";
}

TEST(Presets, FlagsChangeAnyShape) {
  const RunConfig run =
      load({{"MODEL_ARCH", "llama3-3B"}},
           {"--hidden-size=1024", "--num-attention-heads", "8", "--num-key-value-heads", "8",
            "--seq-length", "64", "--num-layers", "3"});
  EXPECT_EQ(run.model.name, "llama3-3B-nLayers3");
  EXPECT_EQ(run.model.hidden_size, 1024);
  EXPECT_EQ(run.model.head_dim, 128);
  EXPECT_EQ(run.batch.seq_length, 64);
  EXPECT_THAT(run.model.note, HasSubstr("another shape"));
}

TEST(Presets, The7BTakesTheShapeFromTheEnvironment) {
  const RunConfig run = load({{"MODEL_ARCH", "7B"},
                              {"NHEADS", "16"},
                              {"NUM_LAYERS", "5"},
                              {"HIDDEN", "2048"},
                              {"NUM_KV_HEAD", "4"},
                              {"FFN_HIDDEN_SIZE", "1000"},
                              {"SEQ", "128"}});
  EXPECT_EQ(run.model.name, "AuroraGPT-7B");
  EXPECT_EQ(run.model.num_attention_heads, 16);
  EXPECT_EQ(run.model.num_hidden_layers, 5);
  EXPECT_EQ(run.model.hidden_size, 2048);
  EXPECT_EQ(run.model.num_key_value_heads, 4);
  EXPECT_EQ(run.model.intermediate_size, 1000);
  EXPECT_EQ(run.batch.seq_length, 128);
}

TEST(InitStd, TruncatesTwiceAsRun) {
  EXPECT_EQ(as_run_init_std(2048), 0.013964);
  EXPECT_EQ(as_run_init_std(3072), 0.011401);
  EXPECT_EQ(as_run_init_std(4096), 0.009848);
  EXPECT_EQ(as_run_init_std(8192), 0.006928);
  EXPECT_EQ(as_run_init_std(8268), 0.006928);
}

TEST(InitStd, IsExactWhereMeant) {
  EXPECT_NEAR(exact_init_std(2048), 0.013975, 5e-7);
  EXPECT_NEAR(exact_init_std(8268), 0.006956, 5e-7);
  const ModelConfig meant = load({{"MODEL_ARCH", "7B"}}, {"--init", "meant"}).model;
  EXPECT_EQ(meant.init_style, InitStyle::kMeant);
  EXPECT_THAT(refusal({{"MODEL_ARCH", "7B"}}, {"--init", "meant", "--tie-word-embeddings"}).text,
              HasSubstr("--init meant begins a model whose head is its own"));
  EXPECT_NEAR(meant.init_method_std, 0.009882, 5e-7);
  const ModelConfig as_run = load({{"MODEL_ARCH", "7B"}}).model;
  EXPECT_EQ(as_run.init_style, InitStyle::kAsRun);
  EXPECT_EQ(as_run.init_method_std, 0.009848);
  EXPECT_EQ(load({}, {"--init-method-std", "0.02"}).model.init_method_std, 0.02);
}

TEST(InitStd, LogsTheDifferenceOfTheEmbedding) {
  EXPECT_TRUE(holds(load({{"MODEL_ARCH", "2B"}}).notes, "embedding std 0.013964"));
  EXPECT_FALSE(holds(load({{"MODEL_ARCH", "2B"}}, {"--init=meant"}).notes, "embedding std"));
}

TEST(Presets, OwnDefaultsAreRowsOfTheTable) {
  for (const ModelPreset& preset : model_presets()) {
    for (const PresetDefault& entry : preset.defaults) {
      EXPECT_EQ(option_row(entry.key).key(), entry.key);
    }
    EXPECT_EQ(preset.hidden_size % preset.num_attention_heads, 0) << preset.name;
    EXPECT_EQ(preset.num_attention_heads % preset.num_key_value_heads, 0) << preset.name;
  }
}

}  // namespace
}  // namespace borealis::testing
