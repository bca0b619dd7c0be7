// MODEL_ARCH as a folder with a Hugging Face config.json.
#include "config/hf_preset.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "config/support.h"

namespace borealis::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Json llama() {
  return {{"model_type", "llama"},
          {"vocab_size", 97},
          {"hidden_size", 48},
          {"intermediate_size", 100},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 6},
          {"num_key_value_heads", 2},
          {"head_dim", 10},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 12345.5},
          {"max_position_embeddings", 512},
          {"tie_word_embeddings", true},
          {"initializer_range", 0.0123},
          {"rope_scaling",
           {{"rope_type", "llama3"},
            {"factor", 8.0},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", 64}}}};
}

Json smollm3(const std::vector<int>& no_rope_layers) {
  Json config = llama();
  config["model_type"] = "smollm3";
  config.erase("rope_scaling");
  config["num_hidden_layers"] = no_rope_layers.size();
  config["no_rope_layers"] = no_rope_layers;
  return config;
}

// A tokenizer of `size` ids.
std::string tokenizer(int size) {
  Json vocab = Json::object();
  for (int id = 0; id < size; ++id) vocab[fmt::format("t{}", id)] = id;
  return Json({{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}},
               {"added_tokens", Json::array()}})
      .dump();
}

class HfPreset : public ::testing::Test {
 protected:
  void write_model(const std::string& name, const Json& config) const {
    folder_.write(name + "/config.json", config.dump());
  }
  RunConfig mock(const Variables& variables, const Arguments& more = {}) const {
    Arguments arguments = {"--mock-data"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return load_as_given(variables, arguments);
  }

  WorkingFolder folder_;
};

TEST_F(HfPreset, TakesTheWholeArchitectureFromTheFile) {
  write_model("models/tiny", llama());
  for (const char* spelled : {"models/tiny", "models/tiny/", "models/tiny/config.json"}) {
    const RunConfig run = mock({{"MODEL_ARCH", spelled}});
    const ModelConfig& model = run.model;
    EXPECT_EQ(model.name, "tiny") << spelled;
    EXPECT_EQ(model.hf_model_type, "llama");
    EXPECT_EQ(model.num_hidden_layers, 4);
    EXPECT_EQ(model.hidden_size, 48);
    EXPECT_EQ(model.num_attention_heads, 6);
    EXPECT_EQ(model.num_key_value_heads, 2);
    EXPECT_EQ(model.head_dim, 10);
    EXPECT_EQ(model.intermediate_size, 100);
    EXPECT_EQ(model.vocab_size, 97) << "not padded";
    EXPECT_EQ(model.max_position_embeddings, 512);
    EXPECT_EQ(model.rope_theta, 12345.5);
    ASSERT_TRUE(model.rope_scaling);
    EXPECT_EQ(model.rope_scaling->original_max_position_embeddings, 64);
    EXPECT_EQ(model.rms_norm_eps, 1e-6);
    EXPECT_TRUE(model.tie_word_embeddings);
    EXPECT_EQ(model.init_method_std, 0.0123);
    EXPECT_EQ(model.rope_on_layer, std::vector<bool>(4, true));
    EXPECT_THAT(run.output.prefix, HasSubstr("tiny-ws1"));
    EXPECT_THAT(model.note, HasSubstr("the architecture of "));
  }
}

TEST_F(HfPreset, SequencesAreAsLongAsThePositionsUpToABound) {
  Json config = llama();
  write_model("short", config);
  config["max_position_embeddings"] = 131072;
  write_model("long", config);
  const RunConfig run = mock({{"MODEL_ARCH", "short"}});
  EXPECT_EQ(run.batch.seq_length, 512);
  EXPECT_TRUE(holds(run.notes, "SEQ is unset: 512 tokens"));
  EXPECT_EQ(mock({{"MODEL_ARCH", "./long"}}).batch.seq_length, 8192);
  const RunConfig given = mock({{"MODEL_ARCH", "long"}, {"SEQ", "64"}});
  EXPECT_EQ(given.batch.seq_length, 64);
  EXPECT_EQ(given.model.max_position_embeddings, 131072);
  EXPECT_FALSE(holds(given.notes, "SEQ is unset"));
}

TEST_F(HfPreset, LayersAndFlagsOfTheUserWin) {
  write_model("tiny", llama());
  const ModelConfig fewer = mock({{"MODEL_ARCH", "tiny"}, {"NLAYERS", "2"}}).model;
  EXPECT_EQ(fewer.num_hidden_layers, 2);
  EXPECT_EQ(fewer.name, "tiny-nLayers2");
  EXPECT_THAT(fewer.note, HasSubstr("2 layers instead of 4"));
  const ModelConfig wider =
      mock({{"MODEL_ARCH", "tiny"}},
           {"--hidden-size", "96", "--untie-embeddings-and-output-weights", "--rms-norm-eps",
            "1e-5", "--init-method-std", "0.5", "--vocab-size", "100"})
          .model;
  EXPECT_EQ(wider.hidden_size, 96);
  EXPECT_EQ(wider.head_dim, 10) << "as config.json says";
  EXPECT_FALSE(wider.tie_word_embeddings);
  EXPECT_EQ(wider.rms_norm_eps, 1e-5);
  EXPECT_EQ(wider.init_method_std, 0.5);
  EXPECT_EQ(wider.vocab_size, 128) << "a number given by flag is padded as ever";
  EXPECT_THAT(wider.note, HasSubstr("another shape"));
  EXPECT_THAT(refusal_as_given({{"MODEL_ARCH", "tiny"}, {"HIDDEN", "96"}}, {"--mock-data"}).text,
              HasSubstr("HIDDEN=96: MODEL_ARCH=tiny fixes HIDDEN at 48"));
}

TEST_F(HfPreset, LayersWithoutRopeFollowTheirIntervalOrTheirList) {
  write_model("interval", smollm3({1, 1, 0, 1}));
  EXPECT_EQ(mock({{"MODEL_ARCH", "interval"}}).model.hf_model_type, "smollm3");
  EXPECT_EQ(mock({{"MODEL_ARCH", "interval"}, {"NLAYERS", "6"}}).model.rope_on_layer,
            (std::vector<bool>{true, true, false, true, true, false}));
  write_model("list", smollm3({0, 1, 1, 0}));
  EXPECT_EQ(mock({{"MODEL_ARCH", "list"}}).model.rope_on_layer,
            (std::vector<bool>{false, true, true, false}));
  EXPECT_EQ(mock({{"MODEL_ARCH", "list"}, {"NLAYERS", "2"}}).model.rope_on_layer,
            (std::vector<bool>{false, true}));
  EXPECT_THAT(
      refusal_as_given({{"MODEL_ARCH", "list"}, {"NLAYERS", "5"}}, {"--mock-data"}).text,
      HasSubstr("NLAYERS=5: the no_rope_layers of list list 4 layers and follow no interval"));
  EXPECT_EQ(mock({{"MODEL_ARCH", "list"}}, {"--no-rope-layer-interval", "2"}).model.rope_on_layer,
            (std::vector<bool>{true, false, true, false}));
  write_model("all", smollm3({1, 1}));
  EXPECT_EQ(mock({{"MODEL_ARCH", "all"}}).model.hf_model_type, "smollm3");
}

TEST_F(HfPreset, TheTokenizerIsTheFolders) {
  write_model("tiny", llama());
  folder_.write("tiny/tokenizer.json", tokenizer(90));
  folder_.write("list.txt", "1.0 nowhere corpus\n");
  const Variables variables = {{"MODEL_ARCH", "tiny"}, {"DATA_FILE_LIST", "list.txt"}};
  const RunConfig run = load_as_given(variables);
  EXPECT_EQ(run.data.tokenizer_path, (folder_.path() / "tiny/tokenizer.json").string());
  EXPECT_EQ(run.model.vocab_size, 97);
  EXPECT_EQ(run.output.prefix.find("_tm"), std::string::npos);
  folder_.write("other/tokenizer.json", tokenizer(98));
  Variables other = variables;
  other["TOKENIZER_MODEL"] = "other";
  const Refusal refused = refusal_as_given(other);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text, HasSubstr("MODEL_ARCH=tiny: the vocabulary of 97 that its config.json "
                                      "states does not hold the token ids of the tokenizer "
                                      "other/tokenizer.json, up to 97; name the model's own with "
                                      "TOKENIZER_MODEL, or give --vocab-size 98"));
}

TEST_F(HfPreset, WithoutATokenizerItsVocabularyIsKnown) {
  write_model("tiny", llama());
  folder_.write("list.txt", "1.0 nowhere corpus\n");
  const RunConfig run = load_as_given({{"MODEL_ARCH", "tiny"}, {"DATA_FILE_LIST", "list.txt"}});
  EXPECT_EQ(run.model.vocab_size, 97);
  EXPECT_EQ(run.data.tokenizer_path, "");
  EXPECT_TRUE(holds(run.warnings, "a vocabulary of 97 is taken as known"));
}

TEST_F(HfPreset, TextsOfNumbersNeedNotFillTheVocabulary) {
  write_model("tiny", llama());
  const Variables variables = {
      {"MODEL_ARCH", "tiny"}, {"TOKENIZER_TYPE", "NullTokenizer"}, {"DATA_FILE_LIST", "list.txt"}};
  folder_.write("list.txt", "1.0 nowhere corpus\n");
  EXPECT_EQ(load_as_given(variables, {"--vocab-size", "50"}).model.vocab_size, 97);
  EXPECT_THAT(refusal_as_given(variables, {"--vocab-size", "97"}).text, HasSubstr("up to 97"));
}

TEST_F(HfPreset, IsFoundFromBorealisHomeAndBeatsNoName) {
  write_model("home/models/tiny", llama());
  EXPECT_EQ(mock({{"MODEL_ARCH", "models/tiny"}, {"BOREALIS_HOME", "home"}}).model.name, "tiny");
  write_model("7B", llama());
  EXPECT_EQ(mock({{"MODEL_ARCH", "7B"}}, {"--vocab-size", "128"}).model.hidden_size, 4096);
  EXPECT_EQ(mock({{"MODEL_ARCH", "./7B"}}).model.hidden_size, 48);
}

TEST_F(HfPreset, SaysWhatIsWrongWithAFolderOrItsFile) {
  const auto text = [](const std::string& arch) {
    return refusal_as_given({{"MODEL_ARCH", arch}}, {"--mock-data"}).text;
  };
  folder_.write("empty/readme.txt", "");
  EXPECT_THAT(text("empty"), HasSubstr("MODEL_ARCH=empty: no Hugging Face config.json was found "
                                       "(tried empty/config.json); name a folder with one, or a "
                                       "known architecture: borealis-small"));
  EXPECT_THAT(text("no/where"), HasSubstr("(tried no/where)"));
  EXPECT_THAT(text("no.json"), HasSubstr("no Hugging Face config.json was found"));
  EXPECT_THAT(text("nowhere"), HasSubstr("not a known architecture"));
  EXPECT_THAT(text("nowhere"), HasSubstr("or a folder with a Hugging Face config.json"));
  folder_.write("mistral/config.json", R"({"model_type": "mistral"})");
  EXPECT_THAT(text("mistral"), HasSubstr("a model of type 'mistral'"));
  Json config = llama();
  config["num_hidden_layers"] = 20000;
  write_model("deep", config);
  EXPECT_THAT(text("deep"), HasSubstr("deep/config.json claims 20000 layers"));
}

}  // namespace
}  // namespace borealis::testing
