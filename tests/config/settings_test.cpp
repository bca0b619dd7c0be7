// Reading: forms of flags, precedence, types, and the messages of what cannot be read.
#include <gmock/gmock.h>

#include "config/nearest.h"
#include "config/support.h"

namespace borealis::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Flags, TakeBothForms) {
  EXPECT_EQ(load({}, {"--lr", "0.5"}).schedule.learning_rate, 0.5);
  EXPECT_EQ(load({}, {"--lr=0.5"}).schedule.learning_rate, 0.5);
  EXPECT_TRUE(load({}, {"--blend-sample-in-corpus"}).data.blend_sample_in_corpus);
  EXPECT_FALSE(load({}, {"--shuffle-sample-in-corpus=false"}).data.shuffle_sample_in_corpus);
}

TEST(Flags, LastOfARepeatedFlagCounts) {
  EXPECT_EQ(load({}, {"--seed", "1", "--seed", "2"}).seed, 2U);
}

TEST(Flags, ReachEveryField) {
  const RunConfig run = load({}, {"--num-layers",
                                  "3",
                                  "--hidden-size",
                                  "96",
                                  "--num-attention-heads",
                                  "6",
                                  "--num-key-value-heads",
                                  "3",
                                  "--ffn-hidden-size",
                                  "200",
                                  "--kv-channels",
                                  "24",
                                  "--seq-length",
                                  "33",
                                  "--micro-batch-size",
                                  "2",
                                  "--grad-acc-steps",
                                  "3",
                                  "--train-iters",
                                  "11",
                                  "--lr",
                                  "1e-3",
                                  "--min-lr",
                                  "1e-5",
                                  "--lr-decay-style",
                                  "constant",
                                  "--lr-warmup-fraction",
                                  "0.25",
                                  "--lr-decay-iters",
                                  "9",
                                  "--lr_constant_plus_cooldown",
                                  "--lr_constant_plus_cooldown_frac",
                                  "0.5",
                                  "--constant-lr",
                                  "2e-4",
                                  "--cooldown-fraction",
                                  "0.4",
                                  "--constant-fraction",
                                  "0.01",
                                  "--weight-decay",
                                  "0.2",
                                  "--adam-beta1",
                                  "0.8",
                                  "--adam-beta2",
                                  "0.99",
                                  "--adam-eps",
                                  "1e-8",
                                  "--clip-grad",
                                  "0.5",
                                  "--max-skipped-steps",
                                  "3",
                                  "--eval-interval",
                                  "5",
                                  "--eval-iters",
                                  "2",
                                  "--save-interval",
                                  "4",
                                  "--log-interval",
                                  "6",
                                  "--timing-log-level",
                                  "0",
                                  "--exit-interval",
                                  "8",
                                  "--split",
                                  "8,1,1",
                                  "--seed",
                                  "99",
                                  "--run-dir",
                                  "here",
                                  "--dtype",
                                  "fp32",
                                  "--checkpoint-activations",
                                  "--checkpoint-num-layers",
                                  "2",
                                  "--tie-word-embeddings",
                                  "--no-rope-layer-interval",
                                  "3",
                                  "--rms-norm-eps",
                                  "1e-6",
                                  "--rotary-position-embeddings-theta",
                                  "777",
                                  "--threads",
                                  "2",
                                  "--memory-limit",
                                  "2GiB",
                                  "--cpu-isa",
                                  "avx2",
                                  "--save",
                                  "there",
                                  "--log-level",
                                  "debug",
                                  "--no-save",
                                  "--report-interval",
                                  "2.5",
                                  "--no-progress",
                                  "--json"});
  EXPECT_EQ(run.model.num_hidden_layers, 3);
  EXPECT_EQ(run.model.hidden_size, 96);
  EXPECT_EQ(run.model.num_attention_heads, 6);
  EXPECT_EQ(run.model.num_key_value_heads, 3);
  EXPECT_EQ(run.model.intermediate_size, 200);
  EXPECT_EQ(run.model.head_dim, 24);
  EXPECT_EQ(run.model.query_size(), 144);
  EXPECT_TRUE(run.model.tie_word_embeddings);
  EXPECT_EQ(run.model.rope_on_layer, (std::vector<bool>{true, true, false}));
  EXPECT_EQ(run.model.hf_model_type, "smollm3");
  EXPECT_EQ(run.model.rms_norm_eps, 1e-6);
  EXPECT_EQ(run.model.rope_theta, 777);
  EXPECT_EQ(run.batch.seq_length, 33);
  EXPECT_EQ(run.batch.global_batch_size, 6);
  EXPECT_EQ(run.limits.train_iters, 11);
  EXPECT_EQ(run.schedule.learning_rate, 1e-3);
  EXPECT_EQ(run.schedule.min_learning_rate, 1e-5);
  EXPECT_EQ(run.schedule.decay_style, LrDecayStyle::kConstant);
  EXPECT_EQ(run.schedule.warmup_fraction, 0.25);
  EXPECT_EQ(run.schedule.decay_iters, 9);
  EXPECT_TRUE(run.schedule.constant_plus_cooldown);
  EXPECT_EQ(run.schedule.constant_plus_cooldown_fraction, 0.5);
  EXPECT_EQ(run.schedule.constant_learning_rate, 2e-4);
  EXPECT_EQ(run.schedule.cooldown_fraction, 0.4);
  EXPECT_EQ(run.schedule.constant_fraction, 0.01);
  EXPECT_EQ(run.optimizer.weight_decay, 0.2);
  EXPECT_EQ(run.optimizer.beta1, 0.8);
  EXPECT_EQ(run.optimizer.beta2, 0.99);
  EXPECT_EQ(run.optimizer.eps, 1e-8);
  EXPECT_EQ(run.optimizer.max_grad_norm, 0.5);
  EXPECT_EQ(run.optimizer.max_skipped_in_a_row, 3);
  EXPECT_EQ(run.limits.eval_interval, 5);
  EXPECT_EQ(run.limits.eval_iters, 2);
  EXPECT_EQ(run.limits.save_interval, 4);
  EXPECT_EQ(run.limits.log_interval, 6);
  EXPECT_EQ(run.limits.timing_log_level, 0);
  EXPECT_EQ(run.limits.exit_interval, 8);
  EXPECT_EQ(run.data.split, "8,1,1");
  EXPECT_EQ(run.seed, 99U);
  EXPECT_EQ(run.output.run_dir, "here");
  EXPECT_EQ(run.output.checkpoint_dir, "there");
  EXPECT_FALSE(run.output.save_checkpoints);
  EXPECT_EQ(run.output.report_interval_s, 2.5);
  EXPECT_FALSE(run.output.progress);
  EXPECT_TRUE(run.output.json);
  EXPECT_EQ(run.dtype, DType::kF32);
  EXPECT_TRUE(run.recompute.enabled);
  EXPECT_EQ(run.recompute.layers_per_segment, 2);
  EXPECT_EQ(run.machine.threads, 2);
  EXPECT_EQ(run.machine.memory_limit_bytes, int64_t{2} << 30);
  EXPECT_EQ(run.machine.cpu_isa, "avx2");
  EXPECT_EQ(run.log_level, "DEBUG");
}

TEST(Variables, ReachTheirFields) {
  const RunConfig run = load({{"LR", "1e-3"},
                              {"LR_DECAY_STYLE", "linear"},
                              {"LR_WARMUP_FRAC", "0"},
                              {"WEIGHT_DECAY", "0"},
                              {"ADAM_BETA1", "0.5"},
                              {"CLIP_GRAD", "0"},
                              {"DTYPE", "fp32"},
                              {"USE_ACTIVATION_CHECKPOINTING", "true"},
                              {"ACT_CKPT_NUM_LAYERS", "3"},
                              {"TRAIN_SPLIT", "8"},
                              {"VAL_SPLIT", "1"},
                              {"TEST_SPLIT", "1"},
                              {"CKPT_DIR", "kept"},
                              {"MEMORY_LIMIT", "512MiB"},
                              {"BOREALIS_CPU_ISA", "avx512"},
                              {"OMP_NUM_THREADS", "3,2"},
                              {"LOG_LEVEL", "WARNING"}});
  EXPECT_EQ(run.schedule.learning_rate, 1e-3);
  EXPECT_EQ(run.schedule.decay_style, LrDecayStyle::kLinear);
  EXPECT_EQ(run.schedule.warmup_fraction, 0);
  EXPECT_EQ(run.optimizer.weight_decay, 0);
  EXPECT_EQ(run.optimizer.beta1, 0.5);
  EXPECT_EQ(run.optimizer.max_grad_norm, 0);
  EXPECT_EQ(run.dtype, DType::kF32);
  EXPECT_TRUE(run.recompute.enabled);
  EXPECT_EQ(run.recompute.layers_per_segment, 3);
  EXPECT_EQ(run.data.split, "8,1,1");
  EXPECT_EQ(run.output.checkpoint_dir, "kept");
  EXPECT_EQ(run.machine.memory_limit_bytes, 512 << 20);
  EXPECT_EQ(run.machine.cpu_isa, "avx512");
  EXPECT_EQ(run.machine.threads, 3);
  EXPECT_EQ(run.log_level, "WARNING");
  EXPECT_TRUE(holds(run.notes, "CLIP_GRAD=0 is honoured; the reference always clips at 1.0"));
}

TEST(Variables, EmptyIsUnset) {
  const RunConfig run = load({{"LR", ""}, {"TP", " "}, {"NO_LLAMA", ""}, {"LOAD", ""}});
  EXPECT_EQ(run.schedule.learning_rate, 2e-3);
}

TEST(Precedence, FlagBeatsVariableAndSaysSo) {
  const RunConfig run = load({{"SEQ", "64"}, {"LR", "0.1"}, {"EVAL_ITERS", "3"}},
                             {"--seq-length", "32", "--lr=0.2", "--eval-iters", "3"});
  EXPECT_EQ(run.batch.seq_length, 32);
  EXPECT_EQ(run.schedule.learning_rate, 0.2);
  EXPECT_TRUE(holds(run.notes, "--seq-length 32 beats SEQ=64 (a flag beats the environment)"));
  EXPECT_TRUE(holds(run.notes, "--lr=0.2 beats LR=0.1"));
  EXPECT_FALSE(holds(run.notes, "beats EVAL_ITERS")) << "the same value beats nothing";
  EXPECT_TRUE(holds(run.notes, "the reference's script would override them"));
}

TEST(Precedence, OfAFlagTheLastOneCounts) {
  const RunConfig run = load(
      {{"SEQ", "64"}}, {"--seq-length", "32", "--seq-length=16", "--lr", "0.1", "--lr", "0.10"});
  EXPECT_EQ(run.batch.seq_length, 16);
  EXPECT_TRUE(holds(run.notes, "--seq-length=16 beats SEQ=64 (a flag beats the environment)"));
  EXPECT_TRUE(
      holds(run.notes, "--seq-length=16 beats --seq-length 32 (of a flag the last one counts)"));
  EXPECT_FALSE(holds(run.notes, "beats --lr")) << "the same value beats nothing";
}

TEST(Precedence, SaysNothingWhereTheReferenceDoesTheSame) {
  const RunConfig run = load({}, {"--lr", "0.2", "--lr-warmup-fraction", "0.1", "--seed", "3"});
  EXPECT_FALSE(holds(run.notes, "the reference's script would override"));
}

TEST(Precedence, ContradictingAliasesAreAProblem) {
  EXPECT_THAT(refusal({{"HEADS", "4"}, {"NHEADS", "8"}}).text,
              HasSubstr("HEADS=4 and NHEADS=8 contradict each other; set one of them"));
  EXPECT_EQ(refusal({{"HEADS", "8"}, {"NHEADS", "8"}}).text, "");
}

struct BadValue {
  const char* variable;
  const char* value;
  const char* message;
};

TEST(BadValues, AreNamedWithWhatIsWrong) {
  for (const BadValue& bad : {
           BadValue{"MICRO_BATCH", "two", "MICRO_BATCH=two is not a whole number"},
           BadValue{"MICRO_BATCH", "2.5", "MICRO_BATCH=2.5 is not a whole number"},
           BadValue{"MICRO_BATCH", "0", "MICRO_BATCH=0 is too small: it must be at least 1"},
           BadValue{"MICRO_BATCH", "-4", "MICRO_BATCH=-4 is too small: it must be at least 1"},
           BadValue{"TRAIN_ITERS", "99999999999999999999",
                    "TRAIN_ITERS=99999999999999999999 is too large a number"},
           BadValue{"SEQ", "1", "SEQ=1 is too small: it must be at least 2"},
           BadValue{"LR", "fast", "LR=fast is not a number"},
           BadValue{"LR", "nan", "LR=nan is not a number"},
           BadValue{"LR", "1e-3x", "LR=1e-3x is not a number"},
           BadValue{"LR", "-1", "LR=-1 is too small: it must be at least 0"},
           BadValue{"LR", "1e31", "LR=1e31"},
           BadValue{"LR", "1e999", "LR=1e999 is too large or too small a number"},
           BadValue{"LR_DECAY_STYLE", "cosin",
                    "LR_DECAY_STYLE=cosin is not one of constant, linear, cosine, "
                    "inverse-square-root, infinite-cosine, infinite-inv-square-root; did you mean "
                    "cosine?"},
           BadValue{"USE_ACTIVATION_CHECKPOINTING", "maybe",
                    "USE_ACTIVATION_CHECKPOINTING=maybe is neither 1"},
           BadValue{"MEMORY_LIMIT", "much", "MEMORY_LIMIT=much is not a number of bytes"},
           BadValue{"OMP_NUM_THREADS", "all", "OMP_NUM_THREADS=all is not a whole number"},
           BadValue{"DTYPE", "int8", "DTYPE=int8 is not one of bf16, fp32, fp16"},
           BadValue{"BOREALIS_CPU_ISA", "sse2", "BOREALIS_CPU_ISA=sse2 is not one of"},
           BadValue{"LOG_LEVEL", "LOUD", "LOG_LEVEL=LOUD is not one of"},
           BadValue{"TIMING_LOG_LEVEL", "3", "must be at most 2"},
       }) {
    const Refusal refused = refusal({{bad.variable, bad.value}});
    EXPECT_THAT(refused.text, HasSubstr(bad.message));
    EXPECT_EQ(refused.exit_code, 2) << bad.message;
  }
}

TEST(CommandLine, UnknownFlagSuggestsTheNearest) {
  const Refusal refused = refusal({}, {"--num-layer", "3"});
  EXPECT_THAT(refused.text, HasSubstr("--num-layer is not a flag; did you mean --num-layers?"));
  EXPECT_EQ(refused.exit_code, 1) << "nothing but the command line is wrong";
  EXPECT_THAT(refusal({}, {"--num_layers=3"}).text, HasSubstr("did you mean --num-layers?"));
  EXPECT_THAT(refusal({}, {"--micro-batch", "3"}).text,
              HasSubstr("did you mean --micro-batch-size? (flags cannot be abbreviated)"));
  EXPECT_THAT(refusal({}, {"--xylophone-tuning"}).text,
              HasSubstr("--xylophone-tuning is not a flag; --help lists them"));
}

TEST(CommandLine, MissingValuesAndStrayWordsAreNamed) {
  EXPECT_THAT(refusal({}, {"--lr", "--seed", "3"}).text, HasSubstr("--lr needs a value"));
  EXPECT_THAT(refusal({}, {"--lr="}).text, HasSubstr("--lr needs a value"));
  EXPECT_THAT(refusal({}, {"fast"}).text, HasSubstr("'fast' is not expected here"));
  EXPECT_THAT(refusal({}, {"-x"}).text, HasSubstr("'-x' is not expected here"));
  EXPECT_EQ(refusal({}, {"fast"}).exit_code, 1);
  EXPECT_THAT(refusal({}, {"--min-lr", "-1"}).text, HasSubstr("--min-lr -1 is too small"));
}

TEST(CommandLine, ReferenceFlagsThatAreNotHereAreRefusedByName) {
  const Refusal refused =
      refusal({}, {"--train-samples", "1", "2", "--lr-finder", "--log-params-norm=x"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text,
              AllOf(HasSubstr("3 problems"),
                    HasSubstr("--train-samples: the length of a run is given by --train-iters"),
                    HasSubstr("--lr-finder: the learning-rate finder is not available yet"),
                    HasSubstr("--log-params-norm: norms of the parameters are not logged yet")));
}

TEST(CommandLine, ListsOfNumbersTakeAllThatFollows) {
  const RunConfig run = load({}, {"--train-range-to-skip", "10", "20", "30,30",
                                  "--train-iters-to-skip=5, 7", "--seed", "3"});
  ASSERT_EQ(run.limits.ranges_to_skip.size(), 2u);
  EXPECT_TRUE(run.limits.ranges_to_skip[0].contains(10));
  EXPECT_TRUE(run.limits.ranges_to_skip[0].contains(20));
  EXPECT_FALSE(run.limits.ranges_to_skip[0].contains(21));
  EXPECT_EQ(run.limits.ranges_to_skip[1].first, 30);
  EXPECT_EQ(run.limits.forward_only_after, (std::vector<int64_t>{5, 7}));
  EXPECT_EQ(run.seed, 3u);
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"1"}, {"3", "2"}, {"0", "2"}, {"1", "2", "3"}}) {
    std::vector<std::string> arguments = wrong;
    arguments.insert(arguments.begin(), "--train-range-to-skip");
    EXPECT_THAT(refusal({}, arguments).text, HasSubstr("is not pairs of a first and a last"));
  }
  EXPECT_THAT(refusal({}, {"--train-iters-to-skip", "x"}).text,
              HasSubstr("is not a list of whole numbers"));
}

TEST(CommandLine, WaysToStartExcludeOneAnother) {
  EXPECT_THAT(refusal({{"LOAD", "x"}}, {"--no-load"}).text,
              HasSubstr("--no-load and LOAD=x contradict each other"));
  EXPECT_THAT(refusal({}, {"--no-load", "--finetune"}).text,
              HasSubstr("--no-load and --finetune contradict"));
  EXPECT_THAT(
      refusal({{"OVERRIDE_CKPT_OPT_PARAM", "1"}}, {"--use-checkpoint-opt_param-scheduler"}).text,
      HasSubstr("contradict each other"));
  EXPECT_THAT(refusal({}, {"--keep-every", "3"}).text, HasSubstr("give --keep-last, too"));
  EXPECT_EQ(load({{"SAVE", "s"}}, {}).checkpoint.load_dir, "s");
  EXPECT_EQ(load({{"SAVE", "s"}, {"LOAD", "l"}}, {}).checkpoint.load_dir, "l");
  EXPECT_TRUE(load({{"OVERRIDE_CKPT_OPT_PARAM", "1"}}, {}).checkpoint.override_schedule);
  EXPECT_FALSE(load({}, {}).checkpoint.override_schedule);
}

TEST(Problems, AreReportedTogether) {
  const Refusal refused =
      refusal({{"TP", "2"}, {"MICRO_BATCH", "two"}, {"LR_WARMUP_FRAC", "1.5"}}, {"--num-lay", "3"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text,
              AllOf(HasSubstr("config: 4 problems:\n  - --num-lay is not a flag"),
                    HasSubstr("\n  - TP=2: tensor parallelism is not available yet; use TP=1"),
                    HasSubstr("\n  - MICRO_BATCH=two is not a whole number"),
                    HasSubstr("\n  - LR_WARMUP_FRAC=1.5 must be below 1")));
  EXPECT_THAT(refusal({{"TP", "2"}}).text, Not(HasSubstr("problems")));
}

TEST(Nearest, FindsMistypedNamesOnly) {
  const std::vector<std::string_view> names = {"cosine", "constant"};
  EXPECT_EQ(nearest_name("cosin", names), "cosine");
  EXPECT_EQ(nearest_name("COSINE", names), "cosine");
  EXPECT_EQ(nearest_name("cons", names), "constant");
  EXPECT_EQ(nearest_name("triangle-wave", names), std::nullopt);
  EXPECT_EQ(nearest_name("x", {}), std::nullopt);
}

}  // namespace
}  // namespace borealis::testing
