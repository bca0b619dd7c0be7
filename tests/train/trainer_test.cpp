#include "train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "checkpoint/model_folder.h"
#include "data/batch_loader.h"
#include "model/accounting.h"
#include "model/parameter_layout.h"
#include "model/step_kernels.h"
#include "support/small_models.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using testing::small_llama;

double rate_of_1e11(std::span<std::byte>) { return 1e11; }

class TrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("borealis_trainer_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    config_.model = small_llama(2);
    config_.model.max_position_embeddings = 32;
    config_.batch = {
        .seq_length = 16, .micro_batch_size = 2, .grad_accum_steps = 2, .global_batch_size = 4};
    config_.data.mock_data = true;
    config_.data.split = "90,10,0";
    config_.limits.train_iters = 6;
    config_.limits.eval_interval = 0;
    config_.limits.save_interval = 0;
    config_.schedule.learning_rate = 1e-2;
    config_.schedule.decay_style = LrDecayStyle::kConstant;
    config_.schedule.warmup_fraction = 0;
    config_.output.save_checkpoints = false;
    config_.output.checkpoint_dir = (folder_ / "checkpoints").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Result {
    TrainingOutcome outcome;
    std::vector<StepRecord> steps;
    std::vector<ValidationRecord> validations;
  };
  Result run(Profiler* profiler = nullptr) {
    const RunLayout layout = make_run_layout(config_, 2);
    Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11, .profiler = profiler});
    Result result;
    TrainerEvents events;
    events.on_step = [&](const StepRecord& record) { result.steps.push_back(record); };
    events.on_validation = [&](const ValidationRecord& r) {
      if (!r.at_end) result.validations.push_back(r);
    };
    result.outcome = trainer.run(events);
    return result;
  }

  // From where a run of config_ starts by itself; puts into config_ what a checkpoint decides.
  RunStart start() { return StartChooser(config_).next(config_); }

  fs::path folder_;
  RunConfig config_;
};

// Every kernel of a layer is called as often as the equations say, and watching changes nothing.
TEST_F(TrainerTest, ProfileCountsTheCallsOfAStep) {
  config_.recompute = {.enabled = true, .layers_per_segment = 1};
  const RunLayout layout = make_run_layout(config_, 2);
  Profiler profiler(step_kernels(layout), {2, 4}, most_kernel_calls(layout));
  const Result profiled = run(&profiler), plain = run();
  for (size_t i = 0; i < plain.steps.size(); ++i) {
    EXPECT_EQ(profiled.steps[i].lm_loss, plain.steps[i].lm_loss);
  }
  std::vector<int> calls(static_cast<size_t>(StepKernel::kCount));
  for (const KernelEvent& event : profiler.events()) ++calls[static_cast<size_t>(event.kernel)];
  const auto calls_of = [&](StepKernel kernel) { return calls[static_cast<size_t>(kernel)]; };
  const int steps = 2, micro_batches = 2 * steps, layers = 2 * micro_batches;
  EXPECT_EQ(calls_of(StepKernel::kAdamW), steps);
  EXPECT_EQ(calls_of(StepKernel::kGradNorm), steps);
  EXPECT_EQ(calls_of(StepKernel::kNextBatch), micro_batches);
  EXPECT_EQ(calls_of(StepKernel::kHeadLoss), micro_batches);
  // The last layer's activations are still there: only the first runs again.
  EXPECT_EQ(calls_of(StepKernel::kAttention), layers + micro_batches);
  EXPECT_EQ(calls_of(StepKernel::kAttentionBackward), layers);
  EXPECT_EQ(calls_of(StepKernel::kQkvWeight), layers);
  EXPECT_EQ(calls_of(StepKernel::kSwiglu), layers + micro_batches);
  EXPECT_EQ(calls_of(StepKernel::kRmsNormBackward), 2 * layers + micro_batches);
}

TEST_F(TrainerTest, TwoRunsGiveTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    config_.dtype = dtype;
    const Result first = run(), second = run();
    ASSERT_EQ(first.steps.size(), 6u);
    for (size_t i = 0; i < first.steps.size(); ++i) {
      EXPECT_EQ(first.steps[i].lm_loss, second.steps[i].lm_loss);
      EXPECT_EQ(first.steps[i].grad_norm, second.steps[i].grad_norm);
    }
  }
}

TEST_F(TrainerTest, TheGemmRateIsMeasuredOnceInMemoryThatNothingNeeds) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    config_.dtype = dtype;
    const Result plain = run();
    std::vector<int64_t> measured_before, losses;
    const RunLayout layout = make_run_layout(config_, 2);
    const auto measure = [&](std::span<std::byte> memory) {
      measured_before.push_back(std::ssize(losses));
      EXPECT_GT(memory.size(), 10'000u);
      std::fill(memory.begin(), memory.end(), std::byte{0xff});  // NaN
      return 1e11;
    };
    Trainer trainer(config_, layout, start(), {.measure_gemm = measure});
    TrainerEvents events;
    events.on_step = [&](const StepRecord& record) {
      EXPECT_EQ(record.lm_loss, plain.steps[losses.size()].lm_loss);
      EXPECT_NEAR(record.gemm_share, record.tflops * 1e12 / 1e11, 1e-9);
      losses.push_back(record.iteration);
    };
    trainer.run(events);
    EXPECT_EQ(std::ssize(losses), 6);
    EXPECT_EQ(measured_before, std::vector<int64_t>{0});
  }
}

TEST_F(TrainerTest, RecomputeChangesNoBitOfTheLosses) {
  const Result kept = run();
  config_.recompute = {true, 1};
  const Result recomputed = run();
  for (size_t i = 0; i < kept.steps.size(); ++i) {
    EXPECT_EQ(kept.steps[i].lm_loss, recomputed.steps[i].lm_loss);
  }
}

TEST_F(TrainerTest, RecordsCountSamplesAndTokens) {
  const Result result = run();
  EXPECT_EQ(result.outcome.stopped_by, "train_iters");
  const StepRecord& last = result.steps.back();
  EXPECT_EQ(last.iteration, 6);
  EXPECT_EQ(last.consumed_samples, 24);
  EXPECT_EQ(last.consumed_tokens, 24 * 16);
  EXPECT_EQ(last.global_batch_size, 4);
  EXPECT_GT(last.tflops, 0);
  EXPECT_NEAR(last.gemm_share, last.tflops * 1e12 / 1e11, 1e-9);
}

TEST_F(TrainerTest, TheFirstUpdateOfAWarmupUsesLearningRateZero) {
  config_.schedule.warmup_fraction = 0.5;
  const Result result = run();
  EXPECT_EQ(result.steps[0].learning_rate, 0);
  EXPECT_NEAR(result.steps[0].next_learning_rate, 1e-2 / 3, 1e-12);
  EXPECT_EQ(result.steps[1].learning_rate, result.steps[0].next_learning_rate);
}

TEST_F(TrainerTest, SkipsNonFiniteStepsAndGivesUp) {
  config_.optimizer.max_skipped_in_a_row = 3;
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
  auto* weights = trainer.parameters().weights_as<bf16>();
  const Parameter& norm = trainer.parameters().table->at("model.norm.weight");
  weights[norm.offset] = bf16(std::numeric_limits<float>::infinity());
  const auto bits_of_weights = [&] {
    std::vector<uint16_t> bits;
    for (int64_t i = 0; i < layout.table.buffer_elements(); ++i) bits.push_back(weights[i].bits);
    return bits;
  };
  const std::vector<uint16_t> untouched = bits_of_weights();
  std::vector<StepRecord> steps;
  TrainerEvents events;
  events.on_step = [&](const StepRecord& record) { steps.push_back(record); };
  try {
    trainer.run(events);
    FAIL() << "a run of skipped steps must end";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerics);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("3 steps in a row"));
  }
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_TRUE(steps[0].skipped);
  EXPECT_EQ(steps[2].skipped_iterations, 3);
  EXPECT_EQ(bits_of_weights(), untouched);
  EXPECT_EQ(trainer.state().optimizer_steps, 0);
  EXPECT_FALSE(fs::exists(config_.output.checkpoint_dir));
}

// What the optimizer keeps is as it was, too: without the poisoned step the run goes on as one that
// never saw it.
TEST_F(TrainerTest, ANonFiniteStepLeavesNoTrace) {
  const RunLayout layout = make_run_layout(config_, 2);
  const auto train = [&](bool poisoned) {
    config_.limits.ranges_to_skip.clear();
    if (!poisoned) config_.limits.ranges_to_skip = {{3, 3}};
    Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
    bf16& gain =
        trainer.parameters()
            .weights_as<bf16>()[trainer.parameters().table->at("model.norm.weight").offset];
    std::vector<StepRecord> steps;
    for (int64_t iteration = 1; iteration <= 6; ++iteration) {
      const bf16 sound = gain;
      if (poisoned && iteration == 3) gain = bf16(std::numeric_limits<float>::infinity());
      steps.push_back(trainer.train_step(iteration));
      if (iteration == 3) gain = sound;
    }
    EXPECT_TRUE(steps[2].skipped);
    EXPECT_EQ(trainer.state().optimizer_steps, 5);
    EXPECT_EQ(trainer.state().skipped_in_a_row, 0);
    return steps;
  };
  const auto with = train(true), without = train(false);
  EXPECT_EQ(with[2].skip_reason, SkipReason::kNotFinite);
  for (size_t i = 3; i < 6; ++i) {
    EXPECT_EQ(with[i].lm_loss, without[i].lm_loss);
    EXPECT_EQ(with[i].grad_norm, without[i].grad_norm);
  }
}

TEST_F(TrainerTest, ASignalEndsTheRunAfterTheStepAndSaves) {
  config_.output.save_checkpoints = true;
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
  int64_t steps = 0;
  TrainerEvents events;
  events.on_step = [&](const StepRecord& record) {
    steps = record.iteration;
    if (record.iteration == 2) std::raise(SIGTERM);
  };
  const TrainingOutcome outcome = trainer.run(events);
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(outcome.stopped_by, "SIGTERM");
  EXPECT_THAT(outcome.checkpoint, ::testing::EndsWith("global_step2"));
  EXPECT_EQ(load_model_config(outcome.checkpoint).hidden_size, config_.model.hidden_size);
}

TEST_F(TrainerTest, SavesEveryIntervalAndAtTheEnd) {
  config_.output.save_checkpoints = true;
  config_.limits.save_interval = 4;
  const Result result = run();
  const fs::path checkpoints = config_.output.checkpoint_dir;
  EXPECT_TRUE(fs::exists(checkpoints / "global_step4" / "model.safetensors"));
  EXPECT_TRUE(fs::exists(checkpoints / "global_step6" / "model.safetensors"));
  EXPECT_FALSE(fs::exists(checkpoints / "global_step5"));
  EXPECT_EQ(result.outcome.checkpoint, (checkpoints / "global_step6").string());
}

TEST_F(TrainerTest, SavedWeightsAreTheTrainedOnes) {
  config_.output.save_checkpoints = true;
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
  const TrainingOutcome outcome = trainer.run({});
  const ModelWeights saved(outcome.checkpoint);
  for (const Parameter& p : trainer.parameters().table->entries()) {
    std::vector<bf16> values(static_cast<size_t>(p.size()));
    saved.read(p.name, p.shape, values);
    const bf16* trained = trainer.parameters().weights_as<bf16>() + p.offset;
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i].bits, trained[i].bits) << p.name;
  }
}

TEST_F(TrainerTest, ValidatesAtItsInterval) {
  config_.limits.eval_interval = 3;
  config_.limits.eval_iters = 2;
  const Result result = run();
  ASSERT_EQ(result.validations.size(), 2u);
  EXPECT_EQ(result.validations[0].iteration, 3);
  // random tokens: no model can do better than the logarithm of the vocabulary for long
  EXPECT_NEAR(result.validations[1].lm_loss, std::log(128.0), 0.5);
  EXPECT_DOUBLE_EQ(result.validations[1].perplexity, std::exp(result.validations[1].lm_loss));
}

TEST_F(TrainerTest, PerplexityIsCappedWhereItSaysNothing) {
  config_.schedule.learning_rate = 0;
  config_.limits.train_iters = config_.limits.eval_interval = 1;
  config_.limits.eval_iters = 1;
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
  const Parameter& norm = trainer.parameters().table->at("model.norm.weight");
  std::fill_n(trainer.parameters().weights_as<bf16>() + norm.offset, norm.size(), bf16(200));
  int validations = 0;
  TrainerEvents events;
  events.on_validation = [&](const ValidationRecord& record) {
    ++validations;
    EXPECT_GT(record.lm_loss, 21);
    EXPECT_DOUBLE_EQ(record.perplexity, std::exp(20.0));
  };
  trainer.run(events);
  EXPECT_EQ(validations, 2);
}

// After the last step: the validation set again, then the test set, also where one of them is
// absent.
TEST_F(TrainerTest, EvaluatesBothSetsAtTheEnd) {
  config_.limits.eval_interval = 3;
  config_.limits.eval_iters = 2;
  for (const char* split : {"80,10,10", "90,0,10", "90,10,0"}) {
    config_.data.split = split;
    std::vector<EvaluatedSet> sets;
    int64_t rounds = 0;
    TrainerEvents events;
    events.on_evaluation = [&](int64_t round, int64_t of) {
      EXPECT_EQ(of, 2);
      EXPECT_EQ(round, rounds++ % 2 + 1);
    };
    events.on_validation = [&](const ValidationRecord& record) {
      if (!record.at_end) return;
      EXPECT_EQ(record.iteration, 6);
      EXPECT_EQ(record.samples, 8);
      sets.push_back(record.set);
    };
    const RunLayout layout = make_run_layout(config_, 2);
    Trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11}).run(events);
    EXPECT_EQ(rounds, 2 * static_cast<int64_t>(sets.size()));
    std::vector<EvaluatedSet> expected;
    if (split != std::string("90,0,10")) expected.push_back(EvaluatedSet::kValidation);
    if (split != std::string("90,10,0")) expected.push_back(EvaluatedSet::kTest);
    EXPECT_EQ(sets, expected) << split;
  }
}

TEST_F(TrainerTest, WithoutValidationsTheTestSetIsStillLookedAt) {
  config_.limits.eval_interval = 0;
  config_.limits.eval_iters = 2;
  config_.data.split = "80,10,10";
  std::vector<EvaluatedSet> sets;
  TrainerEvents events;
  events.on_validation = [&](const ValidationRecord& record) { sets.push_back(record.set); };
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11}).run(events);
  EXPECT_EQ(sets, std::vector{EvaluatedSet::kTest});
}

// Steps on random documents, whose tokens behind an end do not count.
class MaskedTrainerTest : public TrainerTest {
 protected:
  void SetUp() override {
    TrainerTest::SetUp();
    config_.dtype = DType::kF32;
    config_.model.vocab_size = 8;
    config_.data.eod_token = 5;
    config_.data.eod_mask_loss = true;
    config_.data.reset_position_ids = true;
    config_.data.reset_attention_mask = true;
    config_.limits.train_iters = 1;
    config_.limits.eval_interval = 1;
    config_.limits.eval_iters = 1;
    config_.schedule.learning_rate = 0;
  }

  struct Sums {
    double loss = 0, tokens = 0, mean = 0;
  };
  // Of the first two micro-batches, by the model alone.
  Sums sums_of(Split split) const {
    testing::TrainableModel model(config_.model, DType::kF32, 2, 16);
    initialize_parameters(model.parameters, config_.seed);
    const auto source = make_batch_source(config_, split, 0);
    Sums sums;
    for (int micro = 0; micro < 2; ++micro) {
      Batch batch;
      source->next(batch);
      EXPECT_GT(std::count(batch.tokens.begin(), batch.tokens.end(), 5), 0);
      EXPECT_LT(batch.loss_tokens(), 32);
      const double loss = model.model->forward(batch);
      const auto tokens = static_cast<double>(batch.loss_tokens());
      sums.loss += loss;
      sums.tokens += tokens;
      sums.mean += loss / tokens / 2;
    }
    return sums;
  }
};

// Of training and validation.
TEST_F(MaskedTrainerTest, TheLossIsTheMeanOverTheTokensThatCount) {
  const Result result = run();
  const Sums train = sums_of(Split::kTrain), valid = sums_of(Split::kValid);
  EXPECT_NEAR(result.steps[0].lm_loss, train.loss / train.tokens, 1e-6);
  EXPECT_NEAR(result.validations.at(0).lm_loss, valid.loss / valid.tokens, 1e-6);
}

TEST_F(MaskedTrainerTest, TheReferencesMeanIsOverMicroBatches) {
  config_.optimizer.loss_mean = LossMean::kMicroBatch;
  const Result result = run();
  EXPECT_NEAR(result.steps[0].lm_loss, sums_of(Split::kTrain).mean, 1e-6);
  EXPECT_NEAR(result.validations.at(0).lm_loss, sums_of(Split::kValid).mean, 1e-6);
}

// Four samples with unlike numbers of counted tokens: in fp32 only the order of the sums differs.
TEST_F(MaskedTrainerTest, TheStepDoesNotDependOnHowTheBatchIsCut) {
  config_.schedule.learning_rate = 0.01;
  config_.schedule.warmup_fraction = 0;
  config_.limits.train_iters = 3;
  const auto steps_of = [&](int64_t micro_batch) {
    config_.batch.micro_batch_size = micro_batch;
    config_.batch.grad_accum_steps = 4 / micro_batch;
    return run();
  };
  const Result whole = steps_of(4);
  for (const int64_t micro_batch : {1, 2}) {
    const Result cut = steps_of(micro_batch);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(cut.steps[i].lm_loss, whole.steps[i].lm_loss, 2e-6) << micro_batch;
      EXPECT_NEAR(*cut.steps[i].grad_norm, *whole.steps[i].grad_norm, 2e-5) << micro_batch;
    }
    EXPECT_NEAR(cut.validations.back().lm_loss, whole.validations.back().lm_loss, 5e-6);
  }
  config_.optimizer.loss_mean = LossMean::kMicroBatch;
  EXPECT_GT(std::abs(steps_of(1).steps[0].lm_loss - whole.steps[0].lm_loss), 1e-4);
}

TEST_F(MaskedTrainerTest, AStepWithoutACountedTokenLeavesTheWeightsAlone) {
  config_.model.vocab_size = 1;  // every token ends a document
  config_.data.eod_token = 0;
  config_.schedule.learning_rate = 0.01;
  config_.schedule.warmup_fraction = 0;
  config_.limits.train_iters = 2;
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
  const ParameterBuffers& parameters = trainer.parameters();
  const auto size = static_cast<size_t>(parameters.table->buffer_elements());
  const std::vector<float> before(parameters.weights_as<float>(),
                                  parameters.weights_as<float>() + size);
  TrainerEvents events;
  std::vector<StepRecord> steps;
  events.on_step = [&](const StepRecord& step) { steps.push_back(step); };
  events.on_validation = [&](const ValidationRecord& record) {
    EXPECT_TRUE(std::isnan(record.lm_loss));
    EXPECT_TRUE(std::isnan(record.perplexity));
  };
  trainer.run(events);
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[1].skip_reason, SkipReason::kNoTokens);
  EXPECT_EQ(steps[1].skipped_iterations, 2);
  EXPECT_EQ(trainer.state().optimizer_steps, 0);
  for (size_t i = 0; i < size; ++i) ASSERT_EQ(parameters.weights_as<float>()[i], before[i]);
}

TEST_F(TrainerTest, ExitIntervalEndsTheRun) {
  config_.limits.exit_interval = 4;
  const Result result = run();
  EXPECT_EQ(result.steps.size(), 4u);
  EXPECT_EQ(result.outcome.stopped_by, "exit_interval");
}

TEST_F(TrainerTest, AnExitIntervalThatEndsWithTheRunLeavesItWhole) {
  config_.limits.exit_interval = 3;
  config_.limits.eval_interval = 100;
  config_.limits.eval_iters = 1;
  config_.limits.train_iters = 3;
  const RunLayout layout = make_run_layout(config_, 2);
  Trainer trainer(config_, layout, start(), {.measure_gemm = rate_of_1e11});
  int validations = 0;
  TrainerEvents events;
  events.on_validation = [&](const ValidationRecord&) { ++validations; };
  EXPECT_EQ(trainer.run(events).stopped_by, "train_iters");
  EXPECT_EQ(validations, 1);
}

}  // namespace
}  // namespace borealis
