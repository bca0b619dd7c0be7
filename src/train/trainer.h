// The training loop: one optimizer step after the other, and around it logging, validation, signals
// and saving, in the reference's order (contract section 10.2).
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/stopwatch.h"
#include "comm/communicator.h"
#include "config/run_config.h"
#include "data/batch.h"
#include "kernels/backend.h"
#include "model/decoder.h"
#include "model/run_layout.h"
#include "optim/adamw.h"
#include "optim/norm_spikes.h"
#include "parallel/parallel_layout.h"
#include "parallel/sequence_exchange.h"
#include "parallel/sharded_parameters.h"
#include "telemetry/profiler.h"
#include "telemetry/step_record.h"
#include "tensor/parameter_buffers.h"
#include "train/checkpoint_saver.h"
#include "train/run_start.h"
#include "train/step_loss.h"

namespace borealis {

// Where each thing that happens in a run goes. Every member may be empty. An Error that one of
// those of steps, validations and checkpoints throws ends the run as a signal does, with a save,
// and is thrown then.
struct TrainerEvents {
  std::function<void(const StepRecord&)> on_step;
  // At an interval, and after the last step, there on the test split, too.
  std::function<void(const ValidationRecord&)> on_validation;
  // After each of the rounds of an evaluation after the last step, 1-based.
  std::function<void(int64_t round, int64_t rounds)> on_evaluation;
  std::function<void(const std::string& folder)> on_checkpoint;  // it is complete
};

struct TrainingOutcome {
  // "train_iters", "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "exit_interval", "exit_duration",
  // "kill_switch"
  std::string stopped_by;
  std::string checkpoint;  // folder of the last one saved or gone on from; empty if none
};

// The machine's rate in FLOP/s, measured in memory that is free to be overwritten.
using GemmMeasurement = std::function<double(std::span<std::byte> idle_memory)>;

struct TrainerOptions {
  // The run's ranks, of which each has a trainer and makes the same calls of it; must outlive the
  // trainer. Null: one rank.
  Communicator* ranks = nullptr;
  // Called once, between the first step and its record: a user waits for neither memory nor
  // measurement before the first step. Empty: shares of the rate are not known.
  GemmMeasurement measure_gemm = {};
  Profiler* profiler = nullptr;     // times the kernels of step_kernels(); must outlive the trainer
  bool save_in_background = false;  // with memory for a copy of what is saved
  std::string version = {};         // of the program, for the state
  Backend* backend = nullptr;  // null: the host's; of the layout's GPU; must outlive the trainer
};

// Ranks are data parallel: each has, of every global batch, its own samples, or those that share a
// sequence (SP) each its part of the same ones; and of the training
// state what the ZeRO stage leaves it (parallel/sharded_parameters.h). Where that is everything
// rank 0 alone saves, else each its shard.
class Trainer {
 public:
  // Allocates everything, and initializes or loads it; after this a step allocates nothing.
  // layout: the run's own (make_run_layout); must outlive the trainer. Throws DamagedCheckpoint
  // where start.checkpoint cannot be loaded.
  Trainer(const RunConfig& config, const RunLayout& layout, RunStart start, TrainerOptions options);

  TrainingOutcome run(const TrainerEvents& events);

  // One optimizer step on the next micro-batches of the training split.
  StepRecord train_step(int64_t iteration);
  // Behind the constructor and run() whole, unless the weights are sharded (ZeRO stage 3).
  const ParameterBuffers& parameters() const { return buffers_.parameters; }
  // After the last step that was made.
  RunState state() const;
  // Memory of the model that nothing needs between steps.
  std::span<std::byte> idle_memory() { return model_->idle_memory(); }

 private:
  void load(const RunStart& start);
  ModelCompanions companions_of(const RunStart& start) const;
  void make_saver(const RunStart& start);
  void open_data();
  void save(const TrainerEvents& events, TrainingOutcome& outcome, bool wait);
  void await_lone_writer();
  void finish_saving();
  void report_saved(const TrainerEvents& events, TrainingOutcome& outcome);
  void pass_over_data(StepRecord& record);
  double forward_only(StepRecord& record);
  // This rank's, or its part of the sequences that it shares; null where the split is not built.
  std::unique_ptr<BatchSource> batches_of(Split split, int64_t first_sample) const;
  void next_batch(BatchSource& source, StepLoss& loss);
  void add_up(StepLoss& loss);
  // Whether `work` found no data that cannot be used; where it did, that is the failure.
  bool data_serves(const std::function<void()>& work, std::exception_ptr& failure) const;
  void advise_to_pass_over(int64_t iteration) const;
  StepLoss loss_of(int64_t micro_batches) const;
  StepLoss accumulate_gradients(StepRecord& record);
  void profile(const ExchangeSpan& span);
  double gradient_norm() const;
  std::optional<std::string> agreed(const std::optional<std::string>& reason) const;
  bool update(StepRecord& record, const StepLoss& loss);
  void skip(StepRecord& record, SkipReason reason);
  void complete(StepRecord& record);
  void require_finite_steps(int64_t iteration) const;
  // Of the validation split, whose stream goes on from call to call, or of the test split.
  ValidationRecord validate(Split split, int64_t iteration,
                            const std::function<void(int64_t, int64_t)>& after_round = {});
  void validate_at_end(const TrainerEvents& events, int64_t iteration);
  double learning_rate_after(int64_t iterations) const;
  bool evaluation_is_due(int64_t iteration) const;

  RunConfig config_;
  const RunLayout& layout_;
  Backend& backend_;
  std::unique_ptr<Communicator> alone_;  // where there is one rank, or one that saves
  Communicator& ranks_;
  ParallelLayout place_;
  TrainerOptions options_;
  std::optional<double> gemm_flops_per_s_;  // none: not measured yet
  double flops_per_token_;

  TrainingArenas arenas_;
  TrainingBuffers buffers_;
  int64_t shard_;                        // of the state, that this rank owns
  std::optional<GroupExchange> joined_;  // of the ranks' GPUs, where they exchange by themselves
  std::optional<ShardedParameters> sharded_;           // where there are ranks
  std::optional<SequenceExchange> sequence_exchange_;  // where they share sequences
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<OptimizerOps> optimizer_ops_;
  AdamW optimizer_;
  std::optional<NormSpikes> spikes_;
  std::unique_ptr<BatchSource> train_data_;
  std::unique_ptr<BatchSource> valid_data_;
  Batch batch_;
  std::exception_ptr unusable_data_;        // what this rank's last batch was refused with
  bool is_foreign_token_ = false;           // of any rank: why data cannot be used
  std::unique_ptr<CheckpointSaver> saver_;  // null: the run saves nothing

  RunState state_;  // its counters go on with the run
  std::string started_from_;
  Stopwatch since_last_record_;
  // Ends first: what it has under way may wait for a rank that is lost until it is told to end, and
  // to give a GPU's memory back is to wait for that. Nobody else's end makes use of it.
  std::unique_ptr<DeviceGroup> group_;
};

}  // namespace borealis
