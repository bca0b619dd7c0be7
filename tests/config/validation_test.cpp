// What is refused by name, what contradicts itself, and what only draws a warning.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "config/support.h"
#include "support/expect_error.h"

namespace borealis::testing {
namespace {

using ::testing::HasSubstr;

struct Case {
  Variables variables;
  Arguments arguments;
  const char* message;
};

TEST(NotAvailable, IsRefusedByName) {
  const std::vector<Case> cases = {
      {{{"TP", "2"}}, {}, "TP=2: tensor parallelism is not available yet; use TP=1"},
      {{{"PP", "2"}}, {}, "PP=2: pipeline parallelism is not available yet; use PP=1"},
      {{{"ZERO_STAGE", "4"}}, {}, "ZERO_STAGE=4"},
      {{{"WORLD_SIZE", "24"}}, {}, "WORLD_SIZE=24: this run has 1 in all; `borealis launch"},
      {{{"NGPU_PER_HOST", "12"}}, {}, "NGPU_PER_HOST=12: this run has 1 on a host; `borealis"},
      {{{"OPT", "muon"}}, {}, "OPT=muon: this optimizer is not available yet; use OPT=adamw"},
      {{{"OPTIMIZER", "sophiag"}}, {}, "OPTIMIZER=sophiag: this optimizer is not available yet"},
      {{{"OPT", "adamww"}}, {}, "OPT=adamww is not one of adamw, adam, "},
      {{{"DTYPE", "fp16"}}, {}, "DTYPE=fp16: half precision is not available; use bf16 or fp32"},
      {{{"NO_LLAMA", "1"}}, {}, "NO_LLAMA=1: the GPT-2 block is not available; unset it"},
      {{}, {"--universal-checkpoint"}, "--universal-checkpoint: every checkpoint loads"},
      {{{"CPU_OPTIMIZER", "1"}}, {}, "CPU_OPTIMIZER=1: the state lies where the run computes"},
      {{{"COMMS_LOGGER", "true"}}, {}, "COMMS_LOGGER=true: there is no log of collectives"},
      {{{"LAUNCH_WITH", "deepspeed"}}, {}, "LAUNCH_WITH=deepspeed: this launcher is not"},
      {{{"CCL", "ccl"}}, {}, "CCL=ccl: ranks meet through MPI"},
      {{{"BE", "nccl"}}, {}, "BE=nccl: ranks meet through MPI"},
      {{{"TORCH_PROFILER_ENABLE", "1"}}, {}, "TORCH_PROFILER_ENABLE=1: this profiler is not"},
      {{{"PYINSTRUMENT_PROFILER", "1"}}, {}, "PYINSTRUMENT_PROFILER=1: this profiler is not"},
      {{{"DUMP_TOKENS", "1"}}, {}, "DUMP_TOKENS=1: this debugging aid is not available"},
      {{{"DUMP_SKIPPED_ITERS", "1"}}, {}, "DUMP_SKIPPED_ITERS=1: this debugging aid is not"},
      {{{"TOKENIZER_TYPE", "BertWordPieceCase"}},
       {},
       "TOKENIZER_TYPE=BertWordPieceCase: not supported; use one of HFTokenizer, GPT2BPETokenizer, "
       "GPTSentencePieceTokenizer, SentencePieceTokenizer, Llama2Tokenizer, NullTokenizer"},
      {{}, {"--vocab-file", "v.json"}, "--vocab-file v.json is only for TOKENIZER_TYPE=GPT2BPE"},
  };
  for (const Case& one : cases) {
    const Refusal refused = refusal(one.variables, one.arguments);
    EXPECT_THAT(refused.text, HasSubstr(one.message));
    EXPECT_EQ(refused.exit_code, 2) << one.message;
  }
}

Refusal refusal_of_ranks(int64_t ranks, const Variables& variables) {
  LoadOptions options;
  options.world_size = ranks;
  try {
    load_run_config(environment_of(variables), without_files({}), options);
  } catch (const Error& error) {
    return {error.what(), error_exit_code(error.kind())};
  }
  return {};
}

// The small model has two key/value heads.
TEST(SequenceParallelism, DividesRanksHeadsAndSequence) {
  EXPECT_EQ(refusal_of_ranks(4, {{"SP", "2"}}).text, "");
  EXPECT_EQ(refusal_of_ranks(8, {{"SP", "2"}, {"GLOBAL_BATCH", "128"}}).text, "");
  // Lengths of runs are derived from the batch all the same.
  EXPECT_THAT(refusal_of_ranks(1, {{"SP", "2"}, {"TRAIN_TOKENS", "1000000000"}}).text,
              HasSubstr("SP=2 does not divide the run's ranks, 1; use a divisor"));
  EXPECT_THAT(refusal_of_ranks(4, {{"SP", "3"}, {"MODEL_ARCH", "llama3-3B"}}).text,
              HasSubstr("SP=3 does not divide the run's ranks, 4"));
  EXPECT_THAT(refusal_of_ranks(8, {{"SP", "8"}, {"NUM_KV_HEAD", "2"}}).text,
              HasSubstr("SP=8 does not divide NUM_KV_HEAD = 2"));
  EXPECT_THAT(refusal_of_ranks(4, {{"SP", "4"}, {"NUM_KV_HEAD", "4"}, {"SEQ", "1022"}}).text,
              HasSubstr("SP=4 does not divide SEQ = 1022"));
  EXPECT_THAT(refusal_of_ranks(4, {{"SP", "2"}, {"MICRO_BATCH", "8"}, {"GLOBAL_BATCH", "24"}}).text,
              HasSubstr("is not a multiple of MICRO_BATCH x DP = 8 x 2 = 16"));
  EXPECT_EQ(refusal_of_ranks(4, {{"SP", "0"}}).exit_code, 2);
}

TEST(NotAvailable, HarmlessValuesPass) {
  const RunConfig run = load({{"TP", "1"},
                              {"PP", "1"},
                              {"SP", "1"},
                              {"ZERO_STAGE", "3"},
                              {"WORLD_SIZE", "1"},
                              {"NGPU_PER_HOST", "1"},
                              {"OPT", "adamw"},
                              {"CPU_OPTIMIZER", "0"},
                              {"COMMS_LOGGER", "false"},
                              {"ZERO_HPZ_PARTITION_SIZE", "1"},
                              {"LAUNCH_WITH", "MPICH"},
                              {"CCL", "mpi"},
                              {"TOKENIZER_TYPE", "HFTokenizer"},
                              {"NO_FLASH_ATTN", "1"}});
  EXPECT_TRUE(holds(run.notes, "NO_FLASH_ATTN only drops _flash"));
  EXPECT_TRUE(run.warnings.empty());
}

TEST(Validation, NamesContradictions) {
  const std::vector<Case> cases = {
      {{{"HIDDEN", "250"}}, {}, "HIDDEN=250 is not a multiple of HEADS=4"},
      {{{"HEADS", "5"}, {"HIDDEN", "250"}}, {}, "HEADS=5 is not a multiple of NUM_KV_HEAD=2"},
      {{{"HIDDEN", "12"}}, {}, "a head of width 3 is odd"},
      {{}, {"--kv-channels", "7"}, "a head of width 7 is odd"},
      {{{"ZERO_HPZ_PARTITION_SIZE", "2"}, {"ZERO_STAGE", "2"}},
       {},
       "ZERO_HPZ_PARTITION_SIZE=2 needs ZERO_STAGE=3, which alone shards the weights, not 2"},
      {{},
       {"--tie-word-embeddings", "--untie-embeddings-and-output-weights"},
       "--tie-word-embeddings and --untie-embeddings-and-output-weights contradict"},
      {{{"GLOBAL_BATCH", "100"}, {"MICRO_BATCH", "32"}},
       {},
       "GLOBAL_BATCH=100 is not a multiple of MICRO_BATCH x DP = 32 x 1 = 32; use 96 or 128"},
      {{{"GLOBAL_BATCH", "3"}, {"MICRO_BATCH", "4"}}, {}, "= 4 x 1 = 4; use 4"},
      {{{"GLOBAL_BATCH", "8"}, {"MICRO_BATCH", "2"}, {"GRAD_ACC_STEPS", "3"}},
       {},
       "GLOBAL_BATCH=8 contradicts MICRO_BATCH x GRAD_ACC_STEPS x DP = 2 x 3 x 1 = 6"},
      {{{"TRAIN_TOKENS", "100"}},
       {},
       "TRAIN_TOKENS=100 is less than one step of SEQ x "
       "GLOBAL_BATCH = 256 x 16 tokens"},
      {{{"TRAIN_ITERS", "1000000000000000"}, {"MICRO_BATCH", "1000000"}},
       {},
       "the run's number of tokens is too large"},
      {{{"GRAD_ACC_STEPS", "1000000"}, {"MICRO_BATCH", "1000000"}, {"SEQ", "16777216"}},
       {},
       "a step of SEQ x GLOBAL_BATCH tokens is too large"},
      {{{"LR", "1e-4"}}, {"--min-lr", "1e-3"}, "--min-lr 1e-3 is above LR=1e-4"},
      {{{"LR_WARMUP_FRAC", "1"}}, {}, "LR_WARMUP_FRAC=1 must be below 1"},
      {{},
       {"--lr_constant_plus_cooldown"},
       "--lr_constant_plus_cooldown needs LR_DECAY_STYLE=constant, not cosine"},
      {{{"LR_DECAY_STYLE", "infinite-cosine"}}, {}, "needs --min-lr above 0"},
      {{{"LR_DECAY_STYLE", "infinite-cosine"}, {"LR", "1e-4"}},
       {"--min-lr", "1e-5"},
       "needs --min-lr < --constant-lr <= LR, not 1e-05 < 0.00011 <= 0.0001"},
      {{{"LR_DECAY_STYLE", "infinite-inv-square-root"}},
       {"--min-lr", "1e-5", "--cooldown-fraction", "0.95"},
       "leaves nothing for the last fall"},
      {{{"ADAM_BETA1", "1"}}, {}, "ADAM_BETA1=1 must be below 1"},
      {{}, {"--adam-beta2", "1.5"}, "--adam-beta2 1.5 must be below 1"},
      {{{"ADAM_EPS", "0"}}, {}, "ADAM_EPS=0 must be above 0 in f32"},
      {{{"ADAM_EPS", "1e-50"}}, {}, "ADAM_EPS=1e-50 must be above 0 in f32"},
      {{{"TRAIN_SPLIT", "0"}}, {}, "the split 0,50,0 leaves nothing to train on"},
      {{}, {"--split", "9,1,0,0"}, "--split 9,1,0,0 is not one to three shares"},
      {{}, {"--split=9,-1,0"}, "--split=9,-1,0 is not one to three shares"},
      {{}, {"--split", "9;1"}, "--split 9;1 is not one to three shares"},
      {{{"EVAL_ITERS", "0"}}, {}, "EVAL_ITERS=0 with the split 950,50,0"},
      {{{"EVAL_ITERS", "0"}, {"EVAL_INTERVAL", "0"}},
       {"--split", "9,0,1"},
       "EVAL_ITERS=0 with the split 9,0,1"},
      {{},
       {"--profile", "--profile-step-start", "5"},
       "--profile-step-end 5 (default) is not above --profile-step-start 5: no step would be "
       "timed"},
      {{{"TRAIN_ITERS", "3"}},
       {"--profile", "--profile-step-start", "4"},
       "--profile begins at iteration 4, after the last of 3; lower --profile-step-start"},
      {{{"HOSTFILE", "/nonexistent/hosts"}}, {}, "HOSTFILE=/nonexistent/hosts: cannot open"},
  };
  for (const Case& one : cases) {
    const Refusal refused = refusal(one.variables, one.arguments);
    EXPECT_THAT(refused.text, HasSubstr(one.message));
    EXPECT_EQ(refused.exit_code, 2) << one.message;
  }
}

TEST(Validation, NothingToValidateNeedsNoBatches) {
  EXPECT_EQ(refusal({{"EVAL_ITERS", "0"}, {"EVAL_INTERVAL", "0"}}).text, "");
  EXPECT_EQ(refusal({{"EVAL_ITERS", "0"}, {"VAL_SPLIT", "0"}}).text, "");
}

TEST(Validation, InfiniteStylesPassWithinTheirRules) {
  EXPECT_EQ(
      refusal({{"LR_DECAY_STYLE", "infinite-cosine"}, {"LR", "2e-4"}}, {"--min-lr", "1e-5"}).text,
      "");
}

TEST(Validation, ACooldownBeginsBehindTheWarmup) {
  const auto parts = [](const char* warmup, const char* cooldown) {
    return refusal({{"LR_DECAY_STYLE", "constant"}, {"LR_WARMUP_FRAC", warmup}},
                   {"--lr_constant_plus_cooldown", "--lr_constant_plus_cooldown_frac", cooldown})
        .text;
  };
  EXPECT_EQ(parts("0.3", "0.7"), "");
  EXPECT_THAT(parts("0.5", "0.9"),
              HasSubstr("LR_WARMUP_FRAC and --lr_constant_plus_cooldown_frac add up to 1.4"));
}

TEST(Validation, CooldownSaysWhichPartItsFractionIs) {
  const RunConfig run =
      load({{"LR_DECAY_STYLE", "constant"}},
           {"--lr_constant_plus_cooldown", "--lr_constant_plus_cooldown_frac", "0.2"});
  EXPECT_TRUE(holds(run.notes, "the cooldown fraction 0.2 is the falling part"));
}

TEST(Ranks, AreThoseThatTheUserAskedFor) {
  const WorkingFolder folder;
  folder.write("one", "node1\nnode1 slots=2\n\n");
  folder.write("two", "node1\nnode2");
  EXPECT_EQ(refusal({{"HOSTFILE", "one"}, {"WORLD_SIZE", "1"}, {"NGPU_PER_HOST", "1"}}).text, "");
  EXPECT_THAT(refusal({{"HOSTFILE", "two"}}).text,
              HasSubstr("HOSTFILE=two: this run has 1 of them; `borealis launch train`"));
  EXPECT_EQ(refusal({{"HOSTFILE", "one"}, {"PBS_NODEFILE", "two"}}).text, "")
      << "HOSTFILE comes first";
  const RunConfig here = load({{"PBS_NODEFILE", "two"}});
  EXPECT_TRUE(holds(here.warnings, "PBS_NODEFILE=two lists 2 hosts; this run uses 1"));

  LoadOptions launched;
  launched.world_size = 24;
  launched.hosts = 2;
  launched.ranks_per_host = 12;
  const Variables asked = {{"HOSTFILE", "two"},
                           {"NGPU_PER_HOST", "12"},
                           {"WORLD_SIZE", "24"},
                           {"GRAD_ACC_STEPS", "2"},
                           {"MICRO_BATCH", "1"}};
  const RunConfig run = load_run_config(environment_of(asked), without_files({}), launched);
  EXPECT_EQ(run.parallel.world_size, 24);
  EXPECT_EQ(run.parallel.hosts, 2);
  EXPECT_EQ(run.batch.global_batch_size, 48);
  launched.ranks_per_host = 6;
  EXPECT_ERROR(load_run_config(environment_of(asked), without_files({}), launched),
               ErrorKind::kConfig, "NGPU_PER_HOST=12: this run has 6 on a host");
}

TEST(LookAlikes, DrawAWarning) {
  const RunConfig run =
      load({{"LR_WARMUP_FRACTION", "0.1"}, {"SEQ_LEN", "64"}, {"INIT_METHOD_STD", "0.02"}});
  EXPECT_TRUE(holds(run.warnings,
                    "LR_WARMUP_FRACTION=0.1 has no effect: nothing reads it; meant "
                    "is LR_WARMUP_FRAC"));
  EXPECT_TRUE(holds(run.warnings, "SEQ_LEN=64 has no effect: nothing reads it; meant is SEQ"));
  EXPECT_TRUE(holds(run.warnings, "INIT_METHOD_STD=0.02 has no effect"));
  EXPECT_EQ(run.batch.seq_length, 256);
}

TEST(Validation, WarnsOfMisspeltVariables) {
  const std::vector<std::pair<const char*, const char*>> names = {
      {"N_LAYERS", "NLAYERS"},
      {"MICROBATCH", "MICRO_BATCH"},
      {"GRAD_ACC_STEP", "GRAD_ACC_STEPS"},
      {"TRAIN_ITRES", "TRAIN_ITERS"},
      {"nlayers", "NLAYERS"},
      {"TRAIN_TOKEN", "TRAIN_TOKENS"},
      {"ZEROSTAGE", "ZERO_STAGE"},
      {"SAVE_INTERVALS", "SAVE_INTERVAL"},
      {"OMP_NUM_THREAD", "OMP_NUM_THREADS"}};
  for (const auto& [set, meant] : names) {
    const RunConfig run = load({{set, "4"}});
    EXPECT_TRUE(holds(run.warnings,
                      fmt::format("{}=4 has no effect: nothing reads it; meant is {}", set, meant)))
        << set;
  }
  // Names of the environment that are near to short settings, and none of theirs.
  EXPECT_TRUE(load({{"OPTS", "1"}, {"SEQS", "1"}, {"HEAD", "1"}, {"LRS", "1"}}).warnings.empty());
}

TEST(Notes, SayWhatHasNoEffect) {
  EXPECT_TRUE(holds(load({{"ACT_CKPT_NUM_LAYERS", "2"}}).notes,
                    "ACT_CKPT_NUM_LAYERS=2 has no effect without USE_ACTIVATION_CHECKPOINTING=1"));
  EXPECT_TRUE(holds(load({{"DATA_FILE_LIST", "x.txt"}}).notes,
                    "--mock-data: random tokens, DATA_FILE_LIST=x.txt is not read"));
  EXPECT_TRUE(holds(load({{"VAL_SPLIT", "1"}}, {"--split", "9,1,0"}).notes,
                    "--split 9,1,0 beats VAL_SPLIT=1"));
  EXPECT_TRUE(holds(load({}, {"--profile-step-end", "9"}).notes,
                    "--profile-step-end 9 has no effect without --profile"));
  EXPECT_TRUE(holds(load({}, {"--constant-fraction", "0.5"}).notes,
                    "--constant-fraction 0.5 has no effect without an infinite LR_DECAY_STYLE"));
}

TEST(Notes, SayThatAnOnlyStepOfAWarmupChangesNothing) {
  const std::string note = "the only step has the learning rate 0";
  EXPECT_TRUE(holds(load({{"TRAIN_ITERS", "1"}}).notes, note));
  EXPECT_FALSE(holds(load({{"TRAIN_ITERS", "1"}, {"LR_WARMUP_FRAC", "0"}}).notes, note));
  EXPECT_FALSE(holds(load({{"TRAIN_ITERS", "2"}}).notes, note));
}

}  // namespace
}  // namespace borealis::testing
