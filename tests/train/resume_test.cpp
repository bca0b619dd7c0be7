// A run that was stopped and goes on is the run that was not, to the last bit.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/run_state.h"
#include "checkpoint/safetensors_file.h"
#include "checkpoint/state_pieces.h"
#include "data/indexed_dataset_writer.h"
#include "optim/lr_schedule.h"
#include "support/expect_error.h"
#include "support/small_models.h"
#include "support/temporary_folder.h"
#include "train/setting_changes.h"
#include "train/trainer.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

RunConfig small_run(const fs::path& folder) {
  RunConfig config;
  config.model = testing::small_llama(2);
  config.batch = {
      .seq_length = 16, .micro_batch_size = 1, .grad_accum_steps = 2, .global_batch_size = 2};
  config.data.mock_data = true;
  config.data.split = "80,20,0";
  config.limits.train_iters = 10;
  config.limits.eval_interval = 3;
  config.limits.eval_iters = 1;
  config.limits.save_interval = 0;
  config.schedule.learning_rate = 1e-2;
  config.schedule.warmup_fraction = 0.1;
  config.output.checkpoint_dir = (folder / "checkpoints").string();
  config.output.run_dir = (folder / "run").string();
  config.checkpoint.load_dir = config.output.checkpoint_dir;
  return config;
}

struct Outcome {
  std::vector<StepRecord> steps;
  std::vector<ValidationRecord> validations;
  std::vector<std::string> notes, warnings;
  std::string checkpoint;
};

// One process: from where it starts by itself to the end, or to `exit_after`.
Outcome train(RunConfig config, std::optional<int64_t> exit_after = std::nullopt) {
  config.limits.exit_interval = exit_after;
  fs::create_directories(config.output.run_dir);
  StartChooser starts(config);
  RunConfig decided = config;
  const RunStart start = starts.next(decided);
  const RunLayout layout = make_run_layout(decided, 2);
  Trainer trainer(decided, layout, start,
                  {.measure_gemm = [](std::span<std::byte>) { return 1e11; },
                   .profiler = nullptr,
                   .save_in_background = true,
                   .version = ""});
  Outcome outcome{.steps = {},
                  .validations = {},
                  .notes = decided.notes,
                  .warnings = decided.warnings,
                  .checkpoint = ""};
  TrainerEvents events;
  events.on_step = [&](const StepRecord& record) { outcome.steps.push_back(record); };
  events.on_validation = [&](const ValidationRecord& r) { outcome.validations.push_back(r); };
  outcome.checkpoint = trainer.run(events).checkpoint;
  return outcome;
}

bool same_number(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void expect_same_run(const Outcome& whole, const std::vector<Outcome>& parts) {
  std::vector<StepRecord> steps;
  std::vector<ValidationRecord> validations;
  for (const Outcome& part : parts) {
    steps.insert(steps.end(), part.steps.begin(), part.steps.end());
    validations.insert(validations.end(), part.validations.begin(), part.validations.end());
  }
  ASSERT_EQ(steps.size(), whole.steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].iteration, whole.steps[i].iteration);
    EXPECT_TRUE(same_number(steps[i].lm_loss, whole.steps[i].lm_loss)) << i;
    EXPECT_EQ(steps[i].grad_norm, whole.steps[i].grad_norm) << i;
    EXPECT_EQ(steps[i].learning_rate, whole.steps[i].learning_rate);
    EXPECT_EQ(steps[i].consumed_samples, whole.steps[i].consumed_samples);
    EXPECT_EQ(steps[i].skipped_iterations, whole.steps[i].skipped_iterations);
  }
  ASSERT_EQ(validations.size(), whole.validations.size());
  for (size_t i = 0; i < validations.size(); ++i) {
    EXPECT_EQ(validations[i].lm_loss, whole.validations[i].lm_loss) << i;
  }
  for (const char* file : {"model.safetensors", "state/shard-00000-of-00001.safetensors"}) {
    EXPECT_EQ(read_text_file(fs::path(whole.checkpoint) / file),
              read_text_file(fs::path(parts.back().checkpoint) / file))
        << file;
  }
}

struct Variant {
  std::string name;
  std::function<void(RunConfig&)> change;
};

// .bin/.idx of documents whose tokens rise, so that some of the vocabulary only comes late.
void write_documents(const fs::path& prefix, int64_t documents, int64_t first_token) {
  IndexedDatasetWriter writer(prefix, TokenType::kU16);
  for (int64_t document = 0; document < documents; ++document) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < 20 + document % 7; ++i) {
      tokens.push_back(static_cast<int32_t>(first_token + (document * 3 + i) % 60));
    }
    tokens.push_back(5);
    writer.add_document(tokens);
  }
  writer.commit();
}

void use_files(RunConfig& config) {
  const fs::path folder = fs::path(config.output.run_dir).parent_path() / "data";
  fs::create_directories(folder);
  write_documents(folder / "a", 40, 6);
  write_documents(folder / "b", 25, 60);
  write_file_atomically(folder / "list.txt", "0.7 a web\n0.3 b books\n");
  config.data.mock_data = false;
  config.data.data_file_list = (folder / "list.txt").string();
}

class ResumeTest : public ::testing::TestWithParam<Variant> {
 protected:
  RunConfig config(const std::string& name) {
    RunConfig config = small_run(folder_.path() / name);
    fs::create_directories(folder_.path() / name);
    GetParam().change(config);
    return config;
  }
  TemporaryFolder folder_;
};

TEST_P(ResumeTest, IsTheUninterruptedRun) {
  const RunConfig whole = config("whole"), parts = config("parts");
  const Outcome uninterrupted = train(whole);
  expect_same_run(uninterrupted, {train(parts, 4), train(parts, 7), train(parts)});
  const bool skips = !whole.limits.ranges_to_skip.empty() || whole.optimizer.skip_grad_norm_factor;
  EXPECT_EQ(uninterrupted.steps.back().skipped_iterations > 0, skips);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, ResumeTest,
    ::testing::Values(
        Variant{"bf16", [](RunConfig&) {}},
        Variant{"fp32", [](RunConfig& c) { c.dtype = DType::kF32; }},
        Variant{"tied", [](RunConfig& c) { c.model.tie_word_embeddings = true; }},
        Variant{"recompute",
                [](RunConfig& c) {
                  c.recompute = {true, 1};
                }},
        Variant{"background", [](RunConfig& c) { c.limits.save_interval = 1; }},
        // A vocabulary of which each step sees a part: rows appear only after the resume.
        Variant{"new_rows", [](RunConfig& c) { c.model.vocab_size = 2048; }},
        Variant{"blend", use_files},
        Variant{"documents",
                [](RunConfig& c) {
                  use_files(c);
                  c.data.eod_token = 5;
                  c.data.eod_mask_loss = c.data.reset_position_ids = true;
                  c.data.reset_attention_mask = true;
                }},
        Variant{"skipped",
                [](RunConfig& c) {
                  c.limits.ranges_to_skip = {{3, 4}, {8, 8}};
                  c.limits.forward_only_after = {5};
                }},
        Variant{"spikes",
                [](RunConfig& c) {
                  c.limits.train_iters = 40;
                  c.optimizer.skip_grad_norm_factor = 1.02;
                  c.optimizer.skip_grad_norm_window = 20;
                }}),
    [](const auto& variant) { return variant.param.name; });

class ResumeRulesTest : public ::testing::Test {
 protected:
  ResumeRulesTest() : config_(small_run(folder_.path())) {}

  TemporaryFolder folder_;
  RunConfig config_;
};

TEST_F(ResumeRulesTest, MicroBatchesMayBeCutAnotherWay) {
  config_.dtype = DType::kF32;
  train(config_, 4);
  config_.batch.micro_batch_size = 2;
  config_.batch.grad_accum_steps = 1;
  const Outcome rest = train(config_);
  EXPECT_EQ(rest.steps.front().iteration, 5);
  EXPECT_THAT(rest.notes, Contains(HasSubstr("MICRO_BATCH 1 -> 2")));
  EXPECT_THAT(rest.notes, Contains(HasSubstr("GRAD_ACC_STEPS 2 -> 1")));
}

// With a rate of 0 the weights stay, so a step's loss tells its samples: each step of the larger
// batch has those of two steps of the smaller one, from the next sample on.
TEST_F(ResumeRulesTest, AnotherGlobalBatchGoesOnWithTheNextSample) {
  use_files(config_);
  config_.dtype = DType::kF32;
  config_.schedule.learning_rate = 0;
  config_.limits.train_iters = 16;
  RunConfig whole = config_;
  whole.output.checkpoint_dir = whole.checkpoint.load_dir = (folder_.path() / "whole").string();
  const Outcome of_two = train(whole);
  train(config_, 4);
  config_.batch.grad_accum_steps = 4;
  config_.batch.global_batch_size = 4;
  config_.limits.train_iters = 10;
  const Outcome some = train(config_, 7), rest = train(config_);
  EXPECT_THAT(some.notes, Contains(HasSubstr("GLOBAL_BATCH 2 -> 4")));
  EXPECT_THAT(rest.notes, Not(Contains(HasSubstr("GLOBAL_BATCH 2"))));
  std::vector<StepRecord> of_four = some.steps;
  of_four.insert(of_four.end(), rest.steps.begin(), rest.steps.end());
  ASSERT_EQ(of_four.size(), 6u);
  for (size_t i = 0; i < of_four.size(); ++i) {
    const double mean = (of_two.steps[4 + 2 * i].lm_loss + of_two.steps[5 + 2 * i].lm_loss) / 2;
    EXPECT_NEAR(of_four[i].lm_loss, mean, 1e-6) << i;  // sums of fp32 in another order
    EXPECT_EQ(of_four[i].consumed_samples, of_two.steps[5 + 2 * i].consumed_samples);
    EXPECT_EQ(of_four[i].iteration, static_cast<int64_t>(5 + i));
  }
  EXPECT_NE(of_four.front().lm_loss, of_four.back().lm_loss);
}

TEST_F(ResumeRulesTest, AnotherGlobalBatchIsTheSameRunHoweverOftenItStops) {
  const auto begun = [&](const char* name) {
    RunConfig config = small_run(folder_.path() / name);
    fs::create_directories(folder_.path() / name);
    use_files(config);
    train(config, 4);
    config.batch.grad_accum_steps = 3;
    config.batch.global_batch_size = 3;
    return config;
  };
  const RunConfig a = begun("a"), b = begun("b");
  const Outcome uninterrupted = train(a);
  EXPECT_THAT(uninterrupted.notes, Contains(HasSubstr("more samples than it was begun for")));
  EXPECT_EQ(uninterrupted.steps.back().consumed_samples, 4 * 2 + 6 * 3);
  // The schedule goes by steps: its end is where it was.
  EXPECT_EQ(uninterrupted.steps.back().iteration, 10);
  EXPECT_EQ(uninterrupted.steps.back().next_learning_rate, 0);
  expect_same_run(uninterrupted, {train(b, 5), train(b, 8), train(b)});
}

// Each style has its own way with lengths and with the least of them, a sample.
TEST_F(ResumeRulesTest, LearningRatesGoByIterationsWhateverTheBatch) {
  for (const LrDecayStyle style : {LrDecayStyle::kCosine, LrDecayStyle::kInverseSquareRoot,
                                   LrDecayStyle::kConstant, LrDecayStyle::kInfiniteCosine}) {
    const auto config_of = [&](const char* name) {
      RunConfig config =
          small_run(folder_.path() / fmt::format("{}{}", name, static_cast<int>(style)));
      config.schedule.decay_style = style;
      config.schedule.warmup_fraction = style == LrDecayStyle::kCosine ? 0.3 : 0;
      config.schedule.constant_plus_cooldown = style == LrDecayStyle::kConstant;
      config.schedule.constant_plus_cooldown_fraction = 0.33;
      config.schedule.cooldown_fraction = 0.3;
      config.schedule.constant_fraction = 0.2;
      config.schedule.constant_learning_rate = 2e-3;
      config.schedule.min_learning_rate = 1e-3;
      return config;
    };
    const Outcome whole = train(config_of("whole"));
    RunConfig changing = config_of("changing");
    std::vector<StepRecord> steps = train(changing, 4).steps;
    for (const auto& [batch, end] : {std::pair{3, 7}, std::pair{1, 10}}) {
      changing.batch.grad_accum_steps = changing.batch.global_batch_size = batch;
      const Outcome next = train(changing, end);
      EXPECT_THAT(next.notes, Contains(HasSubstr("goes by iterations since GLOBAL_BATCH changed: "
                                                 "its schedule ends with iteration 10")));
      steps.insert(steps.end(), next.steps.begin(), next.steps.end());
    }
    ASSERT_EQ(steps.size(), whole.steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      EXPECT_EQ(steps[i].learning_rate, whole.steps[i].learning_rate) << i;
    }
  }
}

// 20 samples: four steps of two, then four of three, to which the schedule goes by samples.
TEST_F(ResumeRulesTest, TokensEndARunOfChangingBatches) {
  const auto begun = [&](const char* name) {
    RunConfig config = small_run(folder_.path() / name);
    config.limits.train_tokens = 320;
    train(config, 4);
    config.batch.grad_accum_steps = config.batch.global_batch_size = 3;
    config.limits.train_iters = 6;  // as if all had had three
    return config;
  };
  const RunConfig a = begun("a"), b = begun("b");
  const Outcome rest = train(a);
  EXPECT_THAT(rest.notes, Contains(HasSubstr("TRAIN_ITERS 10 -> 8")));
  EXPECT_THAT(rest.notes, Contains(HasSubstr("goes by samples since GLOBAL_BATCH changed: its "
                                             "schedule ends with iteration 8")));
  EXPECT_THAT(rest.notes, Not(Contains(HasSubstr("LR_DECAY_ITERS"))));
  EXPECT_THAT(rest.warnings, IsEmpty());
  ASSERT_EQ(rest.steps.size(), 4u);
  EXPECT_EQ(rest.steps.back().consumed_samples, 20);
  EXPECT_EQ(rest.steps.back().next_learning_rate, 0);
  const Outcome whole = train(small_run(folder_.path() / "whole"));
  EXPECT_EQ(rest.steps[0].learning_rate, whole.steps[4].learning_rate);
  EXPECT_EQ(rest.steps[2].learning_rate, whole.steps[7].learning_rate);  // behind 14 samples
  expect_same_run(rest, {train(b, 6), train(b)});
  // This command's schedule, if it is asked for, is in its own steps.
  RunConfig overridden = begun("c");
  overridden.checkpoint.override_schedule = true;
  overridden.schedule.learning_rate = 2e-2;
  const Outcome other_rate = train(overridden, 7);
  // 6 iterations of 3 samples are its length, and 8 of the 18 are done.
  EXPECT_EQ(other_rate.steps[0].learning_rate, learning_rate_at(overridden.schedule, 8, 18));
}

// 3 iterations of 6 samples are the length of the schedule, of which 2 are left over.
TEST_F(ResumeRulesTest, WhatTheFirstBatchLeavesOverIsNotWarnedOf) {
  config_.limits.train_tokens = 320;
  config_.batch.grad_accum_steps = config_.batch.global_batch_size = 6;
  config_.limits.train_iters = 3;
  train(config_, 1);
  config_.batch.grad_accum_steps = config_.batch.global_batch_size = 1;
  config_.limits.train_iters = 20;
  const Outcome rest = train(config_, 4);
  EXPECT_THAT(rest.notes, Contains(HasSubstr("its schedule ends with iteration 13")));
  EXPECT_THAT(rest.notes, Contains(HasSubstr("TRAIN_ITERS 3 -> 15")));
  EXPECT_THAT(rest.warnings, IsEmpty());
}

TEST_F(ResumeRulesTest, AnotherGlobalBatchMayComeWithOtherData) {
  use_files(config_);
  train(config_, 4);
  config_.data.split = "50,50,0";
  config_.batch.grad_accum_steps = 3;
  config_.batch.global_batch_size = 3;
  train(config_, 6);
  const Outcome rest = train(config_);
  EXPECT_EQ(rest.steps.size(), 4u);
  EXPECT_EQ(rest.steps.back().consumed_samples, 4 * 2 + 6 * 3);
}

TEST_F(ResumeRulesTest, WhatGradientsTravelInMayChangeAndIsTold) {
  train(config_, 4);
  config_.parallel.grad_reduce_in_bf16 = true;
  EXPECT_THAT(train(config_).notes, Contains(HasSubstr("--grad-reduce-in-bf16 false -> true")));
}

TEST_F(ResumeRulesTest, WhatMustNotChangeIsListedAtOnce) {
  train(config_, 4);
  RunConfig other = config_;
  other.model.num_hidden_layers = 3;
  other.model.rope_on_layer.push_back(true);
  other.dtype = DType::kF32;
  other.seed = 7;
  other.batch.seq_length = 8;
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "cannot go on from", "global_step4",
               "NLAYERS is 3 in this command and 2 in the checkpoint",
               "DTYPE is fp32 in this command and bf16 in the checkpoint",
               "--seed is 7 in this command and 1234 in the checkpoint",
               "SEQ is 8 in this command and 16 in the checkpoint");
}

TEST_F(ResumeRulesTest, TheCheckpointsScheduleGoesOnUnlessOverridden) {
  const Outcome first = train(config_, 4);
  RunConfig other = config_;
  other.schedule.learning_rate = 1;
  other.optimizer.weight_decay = 0;
  const Outcome kept = train(other, 5);
  EXPECT_EQ(kept.steps.front().learning_rate, first.steps.back().next_learning_rate);
  EXPECT_THAT(kept.notes, Contains(HasSubstr("LR=1 is not used, the checkpoint's 0.01 goes on")));
  EXPECT_THAT(kept.notes, Contains(HasSubstr("WEIGHT_DECAY=0 is not used")));
  other.checkpoint.override_schedule = true;
  const Outcome overridden = train(other, 6);
  EXPECT_GT(overridden.steps.front().learning_rate, 0.1);
  EXPECT_THAT(overridden.notes, Contains(HasSubstr("LR 0.01 -> 1.0")));
}

// No checkpoint's value goes on: the reference has none.
TEST_F(ResumeRulesTest, AChangedCooldownIsTold) {
  config_.schedule.decay_style = LrDecayStyle::kConstant;
  config_.schedule.constant_plus_cooldown = true;
  config_.schedule.constant_plus_cooldown_fraction = 0.5;
  train(config_, 4);
  config_.schedule.constant_plus_cooldown = false;
  config_.schedule.constant_plus_cooldown_fraction = 0.25;
  config_.data.eod_token = 3;
  const Outcome rest = train(config_);
  for (const char* told :
       {"--lr_constant_plus_cooldown true -> false", "--lr_constant_plus_cooldown_frac 0.5 -> 0.25",
        "--eod-token-id none -> 3"}) {
    EXPECT_THAT(rest.notes, Contains(HasSubstr(told)));
  }
}

// Learning rates are the checkpoint's, the plateau between them the command's.
TEST_F(ResumeRulesTest, APlateauAboveTheCheckpointsRateIsRefused) {
  config_.schedule.decay_style = LrDecayStyle::kInfiniteCosine;
  config_.schedule.min_learning_rate = 1e-4;
  config_.schedule.constant_learning_rate = 1e-3;
  train(config_, 4);
  config_.schedule.learning_rate = 1;
  config_.schedule.constant_learning_rate = 0.1;
  EXPECT_ERROR(train(config_), ErrorKind::kConfig, "with the learning rates of",
               "--constant-lr <= LR, not 0.0001 < 0.1 <= 0.01", "OVERRIDE_CKPT_OPT_PARAM=1");
  config_.checkpoint.override_schedule = true;
  train(config_);
}

TEST_F(ResumeRulesTest, MoreIterationsKeepTheOrderAndTheSchedule) {
  use_files(config_);
  const Outcome whole = train(config_);
  RunConfig longer = config_;
  longer.limits.train_iters = 16;
  const Outcome rest = train(longer);
  EXPECT_EQ(rest.steps.size(), 6u);
  EXPECT_EQ(rest.steps.front().iteration, 11);
  EXPECT_THAT(rest.notes, Contains(HasSubstr("more samples than it was begun for")));
  EXPECT_THAT(rest.warnings, Contains(HasSubstr("schedule ends with iteration 10 of 16")));
  EXPECT_EQ(rest.steps.back().learning_rate, 0);
  // Extended half-way, it is the same run up to where it was begun for, and then the same again.
  RunConfig other = small_run(folder_.path() / "other");
  fs::create_directories(folder_.path() / "other");
  use_files(other);
  const Outcome half = train(other, 5);
  other.limits.train_iters = 16;
  const Outcome second = train(other);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(half.steps[i].lm_loss, whole.steps[i].lm_loss);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(second.steps[i].lm_loss, whole.steps[5 + i].lm_loss);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(second.steps[5 + i].lm_loss, rest.steps[i].lm_loss);
}

TEST_F(ResumeRulesTest, FewerIterationsEndSooner) {
  train(config_, 4);
  config_.limits.train_iters = 6;
  EXPECT_EQ(train(config_).steps.size(), 2u);
}

TEST_F(ResumeRulesTest, OtherDataGoesOnWithAnOrderOfItsOwn) {
  use_files(config_);
  train(config_, 4);
  config_.data.split = "50,50,0";
  const Outcome rest = train(config_);
  EXPECT_EQ(rest.steps.size(), 6u);
  EXPECT_EQ(rest.steps.back().consumed_samples, 20);
  EXPECT_THAT(rest.warnings, Contains(HasSubstr("the data differs")));
  EXPECT_THAT(rest.notes, Contains(HasSubstr("--split 80,20,0 -> 50,50,0")));
}

TEST_F(ResumeRulesTest, AnotherInitializationIsToldToHaveNoEffect) {
  train(config_, 4);
  config_.model.init_method_std = 0.5;
  const Outcome rest = train(config_, 6);
  EXPECT_THAT(rest.notes, Contains(HasSubstr("--init-method-std (of no effect")));
}

TEST_F(ResumeRulesTest, ADamagedLatestIsWarnedOf) {
  config_.limits.save_interval = 2;
  train(config_, 4);
  write_file_atomically(fs::path(config_.output.checkpoint_dir) / "latest", "");
  const Outcome rest = train(config_, 6);
  EXPECT_EQ(rest.steps.front().iteration, 5);
  EXPECT_THAT(rest.warnings, ElementsAre(AllOf(HasSubstr("global_step4 counts as the newest"),
                                               HasSubstr("latest names no checkpoint"))));
}

TEST_F(ResumeRulesTest, ADoneRunHasNothingToDo) {
  const Outcome whole = train(config_);
  const Outcome again = train(config_);
  EXPECT_TRUE(again.steps.empty());
  ASSERT_EQ(again.validations.size(), 1u);  // that at the end, as it was
  EXPECT_EQ(again.validations[0].lm_loss, whole.validations.back().lm_loss);
  EXPECT_EQ(again.checkpoint, whole.checkpoint);
}

TEST_F(ResumeRulesTest, FinetuningTakesTheWeightsAlone) {
  const Outcome first = train(config_, 4);
  RunConfig other = config_;
  other.checkpoint.finetune = true;
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "--finetune has nothing to begin with", "LOAD");
  other.checkpoint.load_given = true;
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "holds the checkpoints of another", "SAVE=");
  other.output.checkpoint_dir = (folder_.path() / "tuned").string();
  const Outcome tuned = train(other, 2);
  EXPECT_EQ(tuned.steps.front().iteration, 1);
  EXPECT_EQ(tuned.steps.front().consumed_samples, 2);
  EXPECT_LT(tuned.steps.front().lm_loss, first.steps.front().lm_loss);  // on the same samples
  // The same command goes on with what it has saved, not with LOAD again.
  const Outcome rest = train(other, 5);
  EXPECT_EQ(rest.steps.front().iteration, 3);
  EXPECT_THAT(rest.notes, Contains(HasSubstr("the run goes on with those, not with LOAD=")));
}

// A longer context asks for a larger base of RoPE.
TEST_F(ResumeRulesTest, FinetuningMayUseTheWeightsInAnotherWay) {
  const Outcome first = train(config_, 4);
  config_.model.rope_theta = 1e6;
  EXPECT_ERROR(train(config_), ErrorKind::kConfig, "ROPE_THETA is 1000000.0 in this command");
  config_.checkpoint.finetune = config_.checkpoint.load_given = true;
  const fs::path model = folder_.path() / "model";
  fs::copy(first.checkpoint, model);  // without its state
  for (const fs::path& load : {fs::path(config_.output.checkpoint_dir), model}) {
    RunConfig other = config_;
    other.checkpoint.load_dir = load.string();
    other.output.checkpoint_dir = (folder_.path() / "tuned" / load.filename()).string();
    const Outcome tuned = train(other, 1);
    EXPECT_EQ(tuned.steps.size(), 1u);
    EXPECT_THAT(tuned.warnings, Contains(AllOf(HasSubstr("ROPE_THETA is 1000000.0"),
                                               HasSubstr("trained with the latter"))));
  }
}

// A bit in the middle of the file.
void flip(const fs::path& file) {
  std::string bytes = read_text_file(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file_atomically(file, bytes);
}

TEST_F(ResumeRulesTest, AModelWithoutAStateIsBegunWith) {
  config_.dtype = DType::kF32;
  const Outcome first = train(config_, 4);
  const fs::path model = folder_.path() / "model";
  fs::copy(first.checkpoint, model);  // without its folders
  RunConfig other = config_;
  other.output.checkpoint_dir = (folder_.path() / "tuned").string();
  other.checkpoint.load_dir = model.string();
  other.checkpoint.load_given = true;
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "a model without a training state", "--finetune");
  other.checkpoint.finetune = true;
  RunConfig from_state = other;
  from_state.checkpoint.load_dir = config_.output.checkpoint_dir;
  from_state.output.checkpoint_dir = (folder_.path() / "tuned2").string();
  const Outcome a = train(other, 3), b = train(from_state, 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(a.steps[i].lm_loss, b.steps[i].lm_loss);
  other.model.hidden_size = 24;
  other.output.checkpoint_dir = (folder_.path() / "tuned3").string();
  EXPECT_ERROR(train(other), ErrorKind::kConfig,
               "is another model: HIDDEN is 24 in this command and 48 in the checkpoint",
               "MODEL_ARCH=");
  other.model.hidden_size = 48;
  flip(model / "model.safetensors");
  EXPECT_ERROR(train(other), ErrorKind::kData, "model.safetensors is damaged");
}

TEST_F(ResumeRulesTest, AnImportedModelIsGoneOnFrom) {
  const Outcome first = train(config_, 4);
  RunConfig other = config_;
  other.output.checkpoint_dir = other.checkpoint.load_dir = (folder_.path() / "imported").string();
  fs::create_directories(other.output.checkpoint_dir);
  fs::copy(first.checkpoint, fs::path(other.output.checkpoint_dir) / "global_step0");
  const Outcome begun = train(other, 3);
  EXPECT_EQ(begun.steps.front().iteration, 1);
  EXPECT_LT(begun.steps.front().lm_loss, first.steps.front().lm_loss);
  EXPECT_EQ(train(other, 5).steps.front().iteration, 4);
}

struct SavedOptimizer {
  int64_t steps = 0;
  std::map<std::string, std::vector<float>> first_moments;  // by tensor
};
SavedOptimizer saved_optimizer(const fs::path& checkpoint) {
  const fs::path state = checkpoint / kStateFile;
  SavedOptimizer saved{.steps = parse_run_state(read_text_file(state), state).optimizer_steps,
                       .first_moments = {}};
  const SafetensorsFile shard(checkpoint / "state" / state_shard_name(0, 1));
  for (const TensorView& piece : shard.tensors()) {
    const auto name = parse_piece_name(piece.name);
    if (!name || name->kind != kFirstMoment) continue;
    auto& moments = saved.first_moments[name->tensor];
    moments.resize(static_cast<size_t>(piece.element_count()));
    copy_tensor(piece, moments);
  }
  return saved;
}

// Of the same weights and data, so that a run with the moments and one without have the gradient of
// their first step in common.
TEST_F(ResumeRulesTest, ResetIterationKeepsMoments) {
  const SavedOptimizer before = saved_optimizer(train(config_, 4).checkpoint);
  RunConfig other = config_;
  other.checkpoint.load_given = true;
  other.checkpoint.reset_iteration = true;
  other.output.checkpoint_dir = (folder_.path() / "other").string();
  const Outcome reset = train(other, 1);
  EXPECT_EQ(reset.steps.front().iteration, 1);
  EXPECT_EQ(reset.steps.front().learning_rate, 0);
  const Outcome rest = train(other, 4);
  EXPECT_EQ(rest.steps.front().iteration, 2);  // which can be gone on from in turn
  other.checkpoint.load_optimizer = false;
  other.output.checkpoint_dir = (folder_.path() / "other2").string();
  const Outcome fresh = train(other, 1), fresh_rest = train(other, 4);
  EXPECT_EQ(fresh.steps[0].lm_loss, reset.steps[0].lm_loss);      // the weights are the same
  EXPECT_EQ(fresh_rest.steps[0].lm_loss, rest.steps[0].lm_loss);  // the learning rate was 0
  EXPECT_NE(fresh_rest.steps[1].lm_loss, rest.steps[1].lm_loss);
  const SavedOptimizer kept = saved_optimizer(reset.checkpoint),
                       begun = saved_optimizer(fresh.checkpoint);
  EXPECT_EQ(before.steps, 4);
  EXPECT_EQ(kept.steps, 5);
  EXPECT_EQ(begun.steps, 1);
  double largest = 0;
  for (const auto& [tensor, moments] : kept.first_moments) {
    const auto &old = before.first_moments.at(tensor),
               &of_gradient = begun.first_moments.at(tensor);
    for (size_t i = 0; i < moments.size(); ++i) {
      largest = std::max<double>(largest, std::abs(old[i]));
      ASSERT_NEAR(moments[i], 0.9 * old[i] + of_gradient[i], 1e-8) << tensor;
    }
  }
  EXPECT_GT(largest, 1e-4);
}

TEST_F(ResumeRulesTest, ResetIterationWithAnotherBatchBeginsTheScheduleAnew) {
  const Outcome whole = train(config_);
  RunConfig other = config_;
  other.checkpoint.load_given = true;
  other.checkpoint.reset_iteration = true;
  other.output.checkpoint_dir = (folder_.path() / "other").string();
  other.batch.grad_accum_steps = other.batch.global_batch_size = 4;
  const Outcome by_iterations = train(other);
  EXPECT_EQ(by_iterations.steps.back().consumed_samples, 40);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(by_iterations.steps[i].learning_rate, whole.steps[i].learning_rate) << i;
  }
  other.output.checkpoint_dir = (folder_.path() / "tokens").string();
  other.limits.train_tokens = 320;
  other.limits.train_iters = 5;
  const Outcome by_samples = train(other, 3), rest = train(other);
  EXPECT_EQ(by_samples.steps[2].learning_rate, whole.steps[4].learning_rate);
  EXPECT_EQ(rest.steps.back().iteration, 5);
  EXPECT_EQ(rest.steps.back().next_learning_rate, 0);
}

// LOAD may name a step among those that the run saves to: what follows it must not be lost.
TEST_F(ResumeRulesTest, AStepAmongItsOwnIsGoneOnFromOnlyIfItIsTheNewest) {
  config_.limits.save_interval = 2;
  train(config_, 6);
  const fs::path root = config_.output.checkpoint_dir;
  RunConfig other = config_;
  other.checkpoint.load_given = true;
  for (const char* spelled : {"global_step4", "global_step4/", "./global_step4"}) {
    other.checkpoint.load_dir = (root / spelled).string();
    EXPECT_ERROR(train(other), ErrorKind::kConfig,
                 "is not the checkpoint that the run goes on with", "global_step6", "/latest");
    RunConfig tuned = other;
    tuned.checkpoint.finetune = true;
    EXPECT_ERROR(train(tuned), ErrorKind::kConfig, "holds the checkpoints of another");
  }
  other.checkpoint.load_dir = (root / "global_step5").string();
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "does not exist", "leave LOAD out");
  fs::create_directory_symlink(root / "global_step4", folder_.path() / "link");
  other.checkpoint.load_dir = (folder_.path() / "link").string();
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "is not the checkpoint that the run goes on with");
  other.output.save_checkpoints = false;
  EXPECT_EQ(train(other).steps.front().iteration, 5);
  other.output.save_checkpoints = true;
  other.checkpoint.load_dir = (root / "global_step6").string();
  EXPECT_EQ(train(other, 8).steps.front().iteration, 7);
  write_file_atomically(root / "latest", "global_step4");  // what the message advises
  EXPECT_EQ(train(config_, 6).steps.front().iteration, 5);
}

TEST_F(ResumeRulesTest, FreshMomentsAreOfTheBeginningAlone) {
  train(config_, 4);
  RunConfig other = config_;
  other.checkpoint.load_given = true;
  other.checkpoint.load_optimizer = false;
  other.output.checkpoint_dir = (folder_.path() / "whole").string();
  const Outcome whole = train(other, 10);
  EXPECT_THAT(whole.notes, Contains(HasSubstr("moments begin anew")));
  other.output.checkpoint_dir = (folder_.path() / "parts").string();
  train(other, 7);
  const Outcome rest = train(other, 10);
  ASSERT_EQ(rest.steps.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(rest.steps[i].lm_loss, whole.steps[i + 3].lm_loss);
}

// Root may read everything: a test of what may not be read is not done as root.
class AsNobody {
 public:
  AsNobody() : is_root_(::geteuid() == 0) {
    if (is_root_) CHECK(::seteuid(kNobody) == 0);
  }
  ~AsNobody() {
    if (is_root_) CHECK(::seteuid(0) == 0);
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  static constexpr uid_t kNobody = 65534;
  bool is_root_;
};

TEST_F(ResumeRulesTest, AFolderThatMayNotBeReadIsNotEmpty) {
  train(config_, 4);
  RunConfig other = config_;
  other.checkpoint.load_given = true;
  other.output.checkpoint_dir = (folder_.path() / "other").string();
  fs::permissions(folder_.path(), fs::perms::group_exec | fs::perms::others_exec,
                  fs::perm_options::add);
  fs::permissions(config_.output.checkpoint_dir, fs::perms::none);
  {
    const AsNobody nobody;
    EXPECT_ERROR(train(other), ErrorKind::kFile, "cannot list " + config_.output.checkpoint_dir,
                 "Permission denied");
  }
  fs::permissions(config_.output.checkpoint_dir, fs::perms::owner_all);
}

// Whatever is in its place, one checkpoint that cannot be looked at leaves the others.
TEST_F(ResumeRulesTest, ALinkToItselfLeavesTheCheckpointsBeforeIt) {
  config_.limits.save_interval = 2;
  train(config_, 6);
  const fs::path newest = fs::path(config_.output.checkpoint_dir) / "global_step6";
  fs::remove_all(newest);
  fs::create_directory_symlink("global_step6", newest);
  RunConfig decided = config_;
  EXPECT_EQ(StartChooser(config_).next(decided).state.iteration, 4);
  EXPECT_THAT(decided.warnings, Contains(HasSubstr("global_step6")));
}

// The default folder is named after the ranks, among others: the same command with fewer of them
// looks elsewhere.
TEST_F(ResumeRulesTest, ARunOfOtherRanksIsNamedWhereAnotherFolderIsLookedIn) {
  const auto named = [this](const std::string& prefix) {
    RunConfig config = config_;
    config.output.prefix = prefix;
    config.output.checkpoint_dir = (folder_.path() / prefix).string();
    config.checkpoint.load_dir = config.output.checkpoint_dir;
    return config;
  };
  train(named("tiny-ws2-ds-stage1-nl2-mb2-gb4-lr0.01"), 4);
  RunConfig one_rank = named("tiny-ws1-ds-stage0-nl2-mb1-gb4-lr0.01");
  EXPECT_EQ(StartChooser(one_rank).next(one_rank).state.iteration, 0);
  EXPECT_THAT(one_rank.warnings,
              Contains(AllOf(HasSubstr("the run starts from scratch"),
                             HasSubstr("/tiny-ws2-ds-stage1-nl2-mb2-gb4-lr0.01 goes on"))));
  // Another rate is another run, and a folder with a name of its own is as it was asked for.
  RunConfig other_rate = named("tiny-ws1-ds-stage0-nl2-mb1-gb4-lr0.02");
  StartChooser(other_rate).next(other_rate);
  EXPECT_THAT(other_rate.warnings, IsEmpty());
  // So is another global batch, unless it came with the ranks.
  RunConfig other_batch = named("tiny-ws2-ds-stage1-nl2-mb2-gb8-lr0.01");
  StartChooser(other_batch).next(other_batch);
  EXPECT_THAT(other_batch.warnings, IsEmpty());
  RunConfig fewer = named("tiny-ws1-ds-stage1-nl2-mb2-gb2-lr0.01");
  StartChooser(fewer).next(fewer);
  EXPECT_THAT(fewer.warnings, Contains(HasSubstr("-gb4-lr0.01 goes on with those; "
                                                 "GLOBAL_BATCH=4 keeps its batch")));
  RunConfig both = named("tiny-ws1-ds-stage1-nl2-mb2-gb8-lr0.01");
  StartChooser(both).next(both);
  EXPECT_THAT(both.warnings, IsEmpty());
  EXPECT_THAT(other_rate.notes, Contains(HasSubstr("the run starts from scratch")));
  // Ranks that share sequences have fewer samples together.
  train(named("a-spare-ws2-ds-stage0-nl2-mb1-gb4-sp1-lr0.01"), 4);
  RunConfig shared = named("a-spare-ws2-ds-stage0-nl2-mb1-gb2-sp2-lr0.01");
  StartChooser(shared).next(shared);
  EXPECT_THAT(shared.warnings, Contains(HasSubstr("-gb4-sp1-lr0.01 goes on with those; "
                                                  "GLOBAL_BATCH=4 keeps its batch")));
  RunConfig same_batch = named("a-spare-ws4-ds-stage0-nl2-mb1-gb4-sp2-lr0.01");
  StartChooser(same_batch).next(same_batch);
  EXPECT_THAT(same_batch.warnings, Contains(HasSubstr("-gb4-sp1-lr0.01 goes on")));
  RunConfig other_samples = named("a-spare-ws4-ds-stage0-nl2-mb1-gb8-sp2-lr0.01");
  StartChooser(other_samples).next(other_samples);
  EXPECT_THAT(other_samples.warnings, IsEmpty());
  one_rank = named("tiny-ws1-ds-stage0-nl2-mb1-gb4-lr0.01");
  one_rank.output.checkpoint_dir = one_rank.checkpoint.load_dir =
      (folder_.path() / "mine").string();
  StartChooser(one_rank).next(one_rank);
  EXPECT_THAT(one_rank.warnings, IsEmpty());
}

// Between looking for checkpoints and having their folder alone another run may end.
TEST_F(ResumeRulesTest, AnotherRunsSaveMeanwhileIsFoundOut) {
  const StartChooser before(config_);
  before.require_newest(config_);
  train(config_, 4);
  EXPECT_ERROR(before.require_newest(config_), ErrorKind::kFile, "another run has changed",
               "while this one began", "repeat the command");
  const StartChooser behind(config_);
  behind.require_newest(config_);
  train(config_, 6);
  EXPECT_ERROR(behind.require_newest(config_), ErrorKind::kFile, "another run has changed");
  config_.output.save_checkpoints = false;
  behind.require_newest(config_);
}

TEST_F(ResumeRulesTest, NeitherAStepNorAModelIsSavedInto) {
  const fs::path step = train(config_, 4).checkpoint;
  RunConfig other = config_;
  other.output.checkpoint_dir = other.checkpoint.load_dir = step.string();
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "is one checkpoint's folder");
  other.output.checkpoint_dir = (folder_.path() / "global_step5").string();
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "is one checkpoint's folder");
  fs::copy(step, folder_.path() / "model");  // without its folders
  other.output.checkpoint_dir = other.checkpoint.load_dir = (folder_.path() / "model").string();
  other.checkpoint.no_load = true;
  EXPECT_ERROR(train(other), ErrorKind::kConfig, "which holds a model");
}

TEST_F(ResumeRulesTest, NoLoadRefusesToMixCheckpoints) {
  train(config_, 4);
  config_.checkpoint.no_load = true;
  EXPECT_ERROR(train(config_), ErrorKind::kConfig, "--no-load begins a run anew", "--no-save");
  config_.output.save_checkpoints = false;
  EXPECT_EQ(train(config_).steps.front().iteration, 1);
}

TEST_F(ResumeRulesTest, DamageIsNamedAndTheCheckpointBeforeItUsed) {
  config_.limits.save_interval = 2;
  const Outcome whole = train(config_);
  const fs::path root = config_.output.checkpoint_dir;
  flip(root / "global_step10/state/state.json");
  StartChooser starts(config_);
  RunConfig decided = config_;
  RunStart start = starts.next(decided);
  EXPECT_EQ(start.state.iteration, 8);
  EXPECT_THAT(decided.warnings, Contains(HasSubstr("global_step10/state/state.json is damaged")));
  // Damage in the numbers is found while they are loaded.
  flip(root / "global_step8/state/shard-00000-of-00001.safetensors");
  const RunLayout layout = make_run_layout(decided, 2);
  try {
    Trainer trainer(decided, layout, start, {});
    FAIL() << "loaded damage";
  } catch (const DamagedCheckpoint& damage) {
    EXPECT_THAT(damage.what(), HasSubstr("global_step8/state/shard-00000"));
    starts.reject(damage);
  }
  decided = config_;
  start = starts.next(decided);
  EXPECT_EQ(start.state.iteration, 6);
  for (const int step : {2, 4, 6, 8}) {
    flip(root / ("global_step" + std::to_string(step)) / "state/state.json");
  }
  RunConfig again = config_;
  StartChooser none(again);
  EXPECT_ERROR(none.next(again), ErrorKind::kData, "none of the checkpoints can be loaded",
               "global_step10", "global_step2");
}

TEST_F(ResumeRulesTest, SignalsSaveAndStop) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    std::signal(signal, SIG_DFL);  // a shell's background job begins with SIGINT ignored
    RunConfig config = small_run(folder_.path() / std::to_string(signal));
    fs::create_directories(folder_.path() / std::to_string(signal));
    fs::create_directories(config.output.run_dir);
    RunConfig decided = config;
    const RunStart start = StartChooser(config).next(decided);
    const RunLayout layout = make_run_layout(decided, 2);
    Trainer trainer(decided, layout, start, {.measure_gemm = [](auto) { return 1e11; }});
    TrainerEvents events;
    events.on_step = [&](const StepRecord& record) {
      if (record.iteration == 2) std::raise(signal);
    };
    const TrainingOutcome outcome = trainer.run(events);
    EXPECT_THAT(outcome.checkpoint, HasSubstr("global_step2"));
    EXPECT_EQ(train(config).steps.front().iteration, 3);
  }
}

// The disk of the run's records may be full, and that of its checkpoints not.
TEST_F(ResumeRulesTest, ARecordThatCannotBeWrittenEndsTheRunBehindASave) {
  fs::create_directories(config_.output.run_dir);
  StartChooser starts(config_);
  RunConfig decided = config_;
  const RunStart start = starts.next(decided);
  const RunLayout layout = make_run_layout(decided, 2);
  Trainer trainer(decided, layout, start, {});
  TrainerEvents events;
  events.on_step = [](const StepRecord& record) {
    EXPECT_LE(record.iteration, 3);
    if (record.iteration == 3) throw Error(ErrorKind::kFile, "metrics.jsonl: no space left");
  };
  EXPECT_ERROR(trainer.run(events), ErrorKind::kFile, "metrics.jsonl: no space left");
  EXPECT_EQ(train(config_).steps.front().iteration, 4);
}

TEST_F(ResumeRulesTest, AFolderThatCannotBeWrittenIsToldBeforeTraining) {
  write_file_atomically(folder_.path() / "file", "");
  config_.output.checkpoint_dir = config_.checkpoint.load_dir = (folder_.path() / "file").string();
  EXPECT_ERROR(train(config_), ErrorKind::kFile, "create the folder", "file");
}

TEST_F(ResumeRulesTest, FreshMomentsAreNoNewRun) {
  train(config_, 4);
  config_.checkpoint.load_optimizer = false;
  RunConfig decided = config_;
  const RunStart start = StartChooser(config_).next(decided);
  EXPECT_TRUE(start.resumes);
  EXPECT_EQ(start.state.iteration, 4);
  EXPECT_EQ(start.state.optimizer_steps, 0);
}

TEST_F(ResumeRulesTest, ASavedScheduleOutOfRangeIsRefused) {
  nlohmann::json saved = saved_configuration(config_);
  saved["schedule"]["learning_rate"] = -1;
  EXPECT_ERROR(take_saved_schedule(saved, "state.json", config_), ErrorKind::kData, "state.json",
               "schedule");
  saved = saved_configuration(config_);
  saved["optimizer"]["weight_decay"] = 1e38;
  EXPECT_ERROR(take_saved_schedule(saved, "state.json", config_), ErrorKind::kData, "weight_decay");
}

TEST_F(ResumeRulesTest, StopsByTimeAndKillSwitch) {
  config_.limits.exit_duration_mins = 0;
  EXPECT_EQ(train(config_).steps.size(), 1u);
  config_.limits.exit_duration_mins.reset();
  config_.limits.kill_switch_file = (folder_.path() / "stop").string();
  write_file_atomically(config_.limits.kill_switch_file, "");
  EXPECT_TRUE(train(config_).steps.empty());  // does not begin
  fs::remove(config_.limits.kill_switch_file);
  EXPECT_EQ(train(config_).steps.front().iteration, 2);
}

TEST_F(ResumeRulesTest, SkippedStepsConsumeDataAndAreCounted) {
  config_.limits.ranges_to_skip = {{2, 3}};
  config_.limits.forward_only_after = {4};
  const Outcome run = train(config_);
  EXPECT_TRUE(std::isnan(run.steps[1].lm_loss));
  EXPECT_FALSE(run.steps[1].grad_norm);
  EXPECT_EQ(run.steps[2].skip_reason, SkipReason::kRange);
  EXPECT_EQ(run.steps[4].skip_reason, SkipReason::kForwardOnly);
  EXPECT_TRUE(std::isfinite(run.steps[4].lm_loss));
  EXPECT_EQ(run.steps.back().skipped_iterations, 3);
  EXPECT_EQ(run.steps.back().consumed_samples, 20);
  // A forward pass alone has the bits of a training step on the same weights.
  RunConfig plain = small_run(folder_.path() / "plain");
  fs::create_directories(folder_.path() / "plain");
  plain.limits.ranges_to_skip = {{2, 3}};
  EXPECT_EQ(train(plain).steps[4].lm_loss, run.steps[4].lm_loss);
}

}  // namespace
}  // namespace borealis
