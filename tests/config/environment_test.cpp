// The table itself: it is the contract, so its names are frozen and its document is generated.
#include "config/environment.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "config/support.h"
#include "support/paths.h"

namespace borealis::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const std::filesystem::path kSource = BOREALIS_SOURCE_DIR;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// With BOREALIS_UPDATE_GOLDEN set, the file is written anew instead.
void expect_file(const std::filesystem::path& path, const std::string& text) {
  if (std::getenv("BOREALIS_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    GTEST_SKIP() << "wrote " << path;
  }
  EXPECT_EQ(read(path), text) << path
                              << " differs; if the change is meant, set BOREALIS_UPDATE_GOLDEN=1";
}

std::set<std::string> all_variables() {
  std::set<std::string> names;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (!row.variable.empty()) names.emplace(row.variable);
      names.insert(row.aliases.begin(), row.aliases.end());
    }
  }
  return names;
}

// One line a row: names and default. Taking a name away breaks somebody's script.
TEST(ContractTable, IsFrozen) {
  std::ostringstream text;
  for (const OptionGroup& group : option_groups()) {
    text << "# " << group.title << "\n";
    for (const OptionRow& row : group.rows) {
      text << (row.variable.empty() ? "-" : row.variable);
      for (const std::string_view alias : row.aliases) text << " " << alias;
      for (const std::string_view flag : row.flags) text << " " << flag;
      text << " = " << row.default_text << "\n";
    }
  }
  expect_file(kSource / "tests/config/contract.txt", text.str());
}

TEST(ContractTable, DocumentIsGenerated) {
  expect_file(kSource / "docs/environment.md", environment_markdown());
}

TEST(ContractTable, HasEveryVariableOfTheContract) {
  for (const char* name : {"TP",
                           "PP",
                           "SP",
                           "CCL",
                           "BE",
                           "DTYPE",
                           "MICRO_BATCH",
                           "GRAD_ACC_STEPS",
                           "ZERO_STAGE",
                           "GLOBAL_BATCH",
                           "MODEL_ARCH",
                           "NLAYERS",
                           "NUM_LAYERS",
                           "HEADS",
                           "NHEADS",
                           "HIDDEN",
                           "NUM_KV_HEAD",
                           "FFN_HIDDEN_SIZE",
                           "SEQ",
                           "OPT",
                           "OPTIMIZER",
                           "OPTIM",
                           "LR",
                           "LR_DECAY_STYLE",
                           "LR_WARMUP_FRAC",
                           "LR_DECAY_ITERS",
                           "WEIGHT_DECAY",
                           "ADAM_BETA1",
                           "ADAM_BETA2",
                           "ADAM_EPS",
                           "CLIP_GRAD",
                           "ROPE_THETA",
                           "TRAIN_TOKENS",
                           "TRAIN_ITERS",
                           "TRAIN_ITER",
                           "EVAL_INTERVAL",
                           "EVAL_ITERS",
                           "SAVE_INTERVAL",
                           "LOG_INTERVAL",
                           "TIMING_LOG_LEVEL",
                           "TRAIN_SPLIT",
                           "VAL_SPLIT",
                           "TEST_SPLIT",
                           "LOAD",
                           "SAVE",
                           "CKPT_DIR",
                           "OVERRIDE_CKPT_OPT_PARAM",
                           "USE_ACTIVATION_CHECKPOINTING",
                           "ACT_CKPT_NUM_LAYERS",
                           "NO_FLASH_ATTN",
                           "NO_LLAMA",
                           "NO_TENSORBOARD",
                           "TOKENIZER_TYPE",
                           "TOKENIZER_MODEL",
                           "DATA_FILE_LIST",
                           "HOSTFILE",
                           "PBS_NODEFILE",
                           "NGPU_PER_HOST",
                           "WORLD_SIZE",
                           "LAUNCH_WITH",
                           "CPU_OPTIMIZER",
                           "ZERO_HPZ_PARTITION_SIZE",
                           "COMMS_LOGGER",
                           "WB_PROJECT",
                           "WANDB_PROJECT",
                           "WANDB_MODE",
                           "LOG_LEVEL",
                           "DUMP_TOKENS",
                           "DUMP_SKIPPED_ITERS",
                           "TORCH_PROFILER_ENABLE",
                           "PYINSTRUMENT_PROFILER"}) {
    EXPECT_THAT(all_variables(), Contains(name));
  }
}

TEST(ContractTable, NamesAreUniqueAndReadable) {
  std::set<std::string_view> seen;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      std::vector<std::string_view> names = row.flags;
      if (!row.variable.empty()) names.push_back(row.variable);
      names.insert(names.end(), row.aliases.begin(), row.aliases.end());
      ASSERT_FALSE(names.empty());
      for (const std::string_view name : names) EXPECT_TRUE(seen.insert(name).second) << name;
      for (const std::string_view flag : row.flags) EXPECT_TRUE(flag.starts_with("--")) << flag;
      EXPECT_FALSE(row.help.empty()) << row.key();
      EXPECT_EQ(row.help.find('|'), std::string_view::npos) << "breaks the table: " << row.key();
    }
  }
  for (const LookAlike& entry : look_alikes()) {
    EXPECT_FALSE(seen.contains(entry.variable)) << entry.variable << " is read after all";
    EXPECT_TRUE(seen.contains(entry.instead)) << entry.instead;
  }
}

// A row that stores nothing, refuses nothing and is read by nobody would be a setting that is
// accepted and ignored. These are read by their key; everything else stores or refuses.
TEST(ContractTable, NothingIsAcceptedAndIgnored) {
  const std::set<std::string_view> read_by_key = {"MODEL_ARCH",
                                                  "--vocab-size",
                                                  "--no-rope-layer-interval",
                                                  "CKPT_DIR",
                                                  "SAVE",
                                                  "--untie-embeddings-and-output-weights",
                                                  "--split",
                                                  "TRAIN_SPLIT",
                                                  "VAL_SPLIT",
                                                  "TEST_SPLIT",
                                                  "DATA_FILE_LIST",
                                                  "HOSTFILE",
                                                  "PBS_NODEFILE",
                                                  "WORLD_SIZE",
                                                  "NGPU_PER_HOST",
                                                  "MPIEXEC",  // by `borealis launch`
                                                  "CPU_BIND",
                                                  "WB_PROJECT",
                                                  "WANDB_PROJECT",
                                                  "NO_FLASH_ATTN",
                                                  "WANDB_MODE",
                                                  "LOG_FORMAT",
                                                  "BOREALIS_HOME",
                                                  "DATA_PARENT",
                                                  "--vocab-file",
                                                  "--merge-file",
                                                  "LOAD",
                                                  "OVERRIDE_CKPT_OPT_PARAM",
                                                  "--use-checkpoint-opt_param-scheduler"};
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      EXPECT_TRUE(row.store != nullptr || !row.not_yet.empty() || read_by_key.contains(row.key()))
          << row.key();
    }
  }
}

TEST(ContractTable, HelpNamesEverySetting) {
  try {
    load_as_given({}, {"--lr", "1", "--help"});
    FAIL() << "no help";
  } catch (const HelpRequested& help) {
    EXPECT_THAT(help.text, HasSubstr("borealis train [flags]"));
    for (const std::string_view flag : all_flags()) {
      EXPECT_THAT(help.text, HasSubstr(std::string(flag)));
    }
    for (const std::string& name : all_variables()) EXPECT_THAT(help.text, HasSubstr(name));
    EXPECT_THAT(help.text, HasSubstr("SmolLM3-3B"));
  }
}

TEST(ContractTable, HelpComesBeforeComplaints) {
  EXPECT_THROW(load_as_given({{"MICRO_BATCH", "two"}}, {"--nonsense", "-h"}), HelpRequested);
}

}  // namespace
}  // namespace borealis::testing
