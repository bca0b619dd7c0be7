// What is calculated: batch, length of the run, vocabulary, names of folders, printed blocks.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "config/lr_decay_style.h"
#include "config/run_config_json.h"
#include "config/support.h"

namespace borealis::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Variables kReportCommand = {{"MODEL_ARCH", "llama3-3B"},
                                  {"NLAYERS", "4"},
                                  {"GRAD_ACC_STEPS", "2"},
                                  {"MICRO_BATCH", "1"},
                                  {"USE_ACTIVATION_CHECKPOINTING", "0"},
                                  {"ZERO_STAGE", "0"},
                                  {"OPT", "adamw"},
                                  {"LR_DECAY_STYLE", "constant"},
                                  {"TOKENIZER_TYPE", "HFTokenizer"},
                                  {"TOKENIZER_MODEL", "google/gemma-7b"},
                                  {"DATA_FILE_LIST", "ALCF/data-lists/nowhere/books.txt"},
                                  {"HOME", "/nonexistent"}};

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

TEST(Batch, FollowsFromItsParts) {
  EXPECT_EQ(load({{"MICRO_BATCH", "3"}, {"GRAD_ACC_STEPS", "4"}}).batch.global_batch_size, 12);
  const BatchConfig batch = load({{"MICRO_BATCH", "3"}, {"GLOBAL_BATCH", "12"}}).batch;
  EXPECT_EQ(batch.grad_accum_steps, 4);
  EXPECT_EQ(batch.global_batch_size, 12);
  EXPECT_EQ(load({}, {"--global-batch-size", "32"}).batch.grad_accum_steps, 2);
}

// The report's runs: 24 ranks x 1 x 2 = 48 sequences of 8192 tokens.
TEST(TrainLength, DefaultTokensGiveTheReportsIterations) {
  const RunConfig run = load({{"MODEL_ARCH", "llama3-3B"}, {"GLOBAL_BATCH", "48"}});
  EXPECT_EQ(run.limits.train_tokens, 4'673'780'159'710);
  EXPECT_EQ(run.limits.train_iters, 11'886'037);
}

TEST(TrainLength, TokensBeatIterationsOfTheSameKind) {
  const RunConfig run = load({{"TRAIN_TOKENS", "1000000"}, {"TRAIN_ITERS", "5"}});
  EXPECT_EQ(run.limits.train_iters, 1'000'000 / 256 / 16);
  EXPECT_TRUE(holds(run.notes, "TRAIN_TOKENS=1000000 beats TRAIN_ITERS=5"));
}

TEST(TrainLength, AFlagBeatsTheEnvironmentsTokens) {
  const RunConfig run = load({{"TRAIN_TOKENS", "1000000"}}, {"--train-iters", "5"});
  EXPECT_EQ(run.limits.train_iters, 5);
  EXPECT_FALSE(run.limits.train_tokens);
  EXPECT_TRUE(holds(run.notes, "--train-iters 5 beats TRAIN_TOKENS=1000000"));
  EXPECT_EQ(load({{"TRAIN_ITERS", "5"}}, {"--train-tokens", "40960"}).limits.train_iters, 10);
}

TEST(TrainLength, TakesTheAliasAndTruncates) {
  EXPECT_EQ(load({{"MODEL_ARCH", "7B"}, {"TRAIN_ITER", "9"}}).limits.train_iters, 9);
  EXPECT_EQ(load({{"TRAIN_TOKENS", "8191"}}).limits.train_iters, 1);
}

TEST(Vocabulary, IsPaddedTo128) {
  EXPECT_EQ(load({}, {"--vocab-size", "50257"}).model.vocab_size, 50304);
  EXPECT_EQ(load({}, {"--vocab-size", "50257"}).data.tokenizer_vocab_size, 50257);
  EXPECT_EQ(load({}, {"--vocab-size", "32000"}).model.vocab_size, 32000);
  EXPECT_EQ(load({}, {"--vocab-size", "2"}).model.vocab_size, 128);
}

TEST(Folders, AreNamedAsInTheContract) {
  const RunConfig run = load_as_given(kReportCommand, {"--mock-data"});
  const std::string prefix =
      "llama3-3B-nLayers4-ws1-ds-stage0-nl4-hs3072-mb1-seq8192-gb2-sp1-pp1-tp1-bf16-optadamw-"
      "lr0.0002-lwf0.05_ntok4673B_tokHF_tmgoogle_gemma-7b_flash";
  EXPECT_EQ(run.output.prefix, prefix);
  EXPECT_EQ(run.output.checkpoint_dir, "checkpoints/" + prefix);
  EXPECT_EQ(run.output.run_dir, "logs/" + prefix + "/20260102-030405_1_node7");
}

TEST(Folders, NamesFollowTheSettings) {
  EXPECT_EQ(load({}).output.prefix,
            "borealis-small-ws1-ds-stage0-nl4-hs256-mb16-seq256-gb16-sp1-pp1-tp1-bf16-optadamw-"
            "lr0.002-lwf0.05_ntok0B_flash");
  EXPECT_EQ(load({{"MODEL_ARCH", "2B"},
                  {"TRAIN_ITERS", "10"},
                  {"DTYPE", "fp32"},
                  {"LR", "1e-4"},
                  {"LR_WARMUP_FRAC", "0.1"},
                  {"LR_DECAY_ITERS", "77"},
                  {"GRAD_ACC_STEPS", "3"},
                  {"NO_FLASH_ATTN", "0"}})
                .output.prefix,
            "AuroraGPT-2B-ws1-ds-stage0-nl12-hs2048-mb1-seq8192-gb3-sp1-pp1-tp1-fp32-optadamw-"
            "lr1e-4-lwf0.1_ntok0B_ldi77");
  EXPECT_THAT(load({{"TRAIN_TOKENS", "2999999999"}}).output.prefix, HasSubstr("_ntok2B_flash"));
}

TEST(Folders, CanBeChosen) {
  const RunConfig run = load({{"CKPT_DIR", "ckpt"}});
  EXPECT_EQ(run.output.checkpoint_dir, "ckpt");
  EXPECT_EQ(load({{"CKPT_DIR", "a"}, {"SAVE", "b"}}).output.checkpoint_dir, "b");
  EXPECT_EQ(load({}, {"--run-dir", "out"}).output.run_dir, "out");
}

TEST(Folders, StampAndHostComeFromTheMachine) {
  const RunConfig run = load_run_config(environment_of({}), without_files({}));
  EXPECT_THAT(run.output.run_dir,
              ::testing::MatchesRegex("logs/.*_flash/[0-9]{8}-[0-9]{6}_1_[^/]+"));
}

TEST(Folders, NameStaysWithinAFileNamesLength) {
  const std::string deep = "/data/" + std::string(300, 'x') + "/tokenizer.json";
  const RunConfig run = load({{"TOKENIZER_MODEL", deep}});
  EXPECT_EQ(run.output.prefix.size(), 255U);
  EXPECT_THAT(run.output.prefix, HasSubstr("xx_tokenizer.json_flash"));
  EXPECT_TRUE(holds(run.notes, "names of folders have at most 255 bytes"));
}

TEST(PrintedBlocks, AreTheReferences) {
  const RunConfig run = load_as_given(kReportCommand, {"--mock-data"});
  const std::vector<std::string> lines = architecture_lines(run);
  EXPECT_EQ(lines.front(), "ARCHITECTURE");
  for (const char* line : {"MODEL_ARCH: llama3-3B-nLayers4", "HEADS: 24", "HIDDEN: 3072",
                           "FFN_HIDDEN_SIZE: 8192", "NLAYERS: 4", "NUM_KV_HEAD: 8", "SEQ: 8192",
                           "USE_ACTIVATION_CHECKPOINTING: 0", "ZERO: 0"}) {
    EXPECT_THAT(lines, ::testing::Contains(line));
  }
  EXPECT_THAT(batch_lines(run),
              ElementsAre("WORLD_SIZE=1 MICRO_BATCH=1 GRAD_ACC_STEPS=2 DP=1 GLOBAL_BATCH=2 "
                          "GLOBAL_BATCH_MAX=2 TP=1 PP=1 SP=1",
                          "TRAIN_TOKENS=4673780159710 (4673 billion)", "TRAIN_ITERS=285264902"));
  EXPECT_EQ(batch_lines(load({})).size(), 1U);
}

TEST(ReportCommand, UsesTheKnownVocabularyWithAWarning) {
  const RunConfig run =
      load_as_given(with(kReportCommand, {{"TRAIN_ITERS", "1"}}), {"--mock-data"});
  EXPECT_EQ(run.model.vocab_size, 256000);
  EXPECT_EQ(run.data.tokenizer_path, "");
  EXPECT_EQ(run.limits.train_iters, 1);
  EXPECT_EQ(run.schedule.decay_style, LrDecayStyle::kConstant);
  EXPECT_TRUE(holds(run.warnings, "the tokenizer google/gemma-7b was not found"));
  EXPECT_TRUE(holds(run.warnings, "a vocabulary of 256000 is taken as known"));
}

TEST(Json, HoldsTheWholeConfiguration) {
  const RunConfig run =
      load({{"MODEL_ARCH", "SmolLM3-3B"}, {"SEQ", "64"}, {"MEMORY_LIMIT", "1GiB"}},
           {"--seed", "7", "--lr-decay-iters", "5", "--train-iters", "6"});
  const nlohmann::json document = to_json(run);
  EXPECT_EQ(document["model"]["num_hidden_layers"], 36);
  EXPECT_EQ(document["model"]["rope_on_layer"][3], false);
  EXPECT_EQ(document["model"]["rope_scaling"], nullptr);
  EXPECT_EQ(document["model"]["init_style"], "as-run");
  EXPECT_EQ(document["batch"]["seq_length"], 64);
  EXPECT_EQ(document["schedule"]["decay_style"], "cosine");
  EXPECT_EQ(document["schedule"]["decay_iters"], 5);
  EXPECT_EQ(document["limits"]["train_iters"], 6);
  EXPECT_EQ(document["limits"]["train_tokens"], nullptr);
  EXPECT_EQ(document["machine"]["memory_limit_bytes"], 1 << 30);
  EXPECT_EQ(document["dtype"], "bf16");
  EXPECT_EQ(document["seed"], 7);
  EXPECT_EQ(document["data"]["mock_data"], true);
  EXPECT_EQ(document["output"]["prefix"], run.output.prefix);
  const nlohmann::json llama = to_json(load({{"MODEL_ARCH", "Llama-3.2-1B"}}));
  EXPECT_EQ(llama["model"]["rope_scaling"]["factor"], 32);
  EXPECT_EQ(llama["model"]["rope_scaling"]["rope_type"], "llama3");
}

TEST(Json, SpellsEveryDecayStyleAsTheContractDoes) {
  for (const char* style : {"constant", "linear", "cosine", "inverse-square-root",
                            "infinite-cosine", "infinite-inv-square-root"}) {
    const RunConfig run = load({{"LR_DECAY_STYLE", style}, {"LR", "2e-4"}}, {"--min-lr", "1e-5"});
    EXPECT_EQ(lr_decay_style_name(run.schedule.decay_style), style);
  }
}

}  // namespace
}  // namespace borealis::testing
