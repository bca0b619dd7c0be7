// The training loop: one optimizer step after the other, and around it logging, validation, signals
// and saving, in the reference's order (contract section 10.2).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "config/run_config.h"
#include "data/batch.h"
#include "model/decoder.h"
#include "model/run_layout.h"
#include "optim/adamw.h"
#include "parallel/parallel_layout.h"
#include "telemetry/profiler.h"
#include "telemetry/run_summary.h"
#include "telemetry/step_record.h"
#include "telemetry/stopwatch.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// Where each thing that happens in a run goes. Every member may be empty.
struct TrainerEvents {
  std::function<void(const StepRecord&)> on_step;
  std::function<void(const ValidationRecord&)> on_validation;
  // After each of the rounds of an evaluation after the last step, 1-based.
  std::function<void(int64_t round, int64_t rounds)> on_evaluation;
  // After the last step, on the "validation" or the "test" split.
  std::function<void(const ValidationRecord&, int64_t samples, const std::string& set)>
      on_final_validation;
  std::function<void(const std::string& folder)> on_checkpoint;
};

struct TrainingOutcome {
  std::string stopped_by;  // "train_iters", "SIGINT", "SIGTERM", "exit_interval"
  std::string checkpoint;  // folder of the last one saved; empty if none
};

// The machine's rate in FLOP/s, measured in memory that is free to be overwritten.
using GemmMeasurement = std::function<double(std::span<std::byte> idle_memory)>;

class Trainer {
 public:
  // Allocates and initializes everything; after this a step allocates nothing. measure_gemm is
  // called once, between the first step and its record: a user waits for neither memory nor
  // measurement before the first step. profiler: times the kernels of step_kernels(); may be null,
  // must outlive the trainer.
  // layout: the run's own (make_run_layout); must outlive the trainer.
  Trainer(const RunConfig& config, const RunLayout& layout, GemmMeasurement measure_gemm,
          Profiler* profiler = nullptr);

  TrainingOutcome run(const TrainerEvents& events);

  // One optimizer step on the next micro-batches of the training split.
  StepRecord train_step(int64_t iteration);

  const ParameterBuffers& parameters() const { return buffers_.parameters; }

 private:
  double accumulate_gradients(StepRecord& record);
  double gradient_norm() const;
  void update(StepRecord& record, double loss);
  void complete(StepRecord& record);
  // Of the validation split, whose stream goes on from call to call, or of the test split.
  ValidationRecord validate(Split split, int64_t iteration,
                            const std::function<void(int64_t, int64_t)>& after_round = {});
  void validate_at_end(const TrainerEvents& events, int64_t iteration);
  std::string save(int64_t iteration);
  double learning_rate_after(int64_t iterations) const;
  bool evaluation_is_due(int64_t iteration) const;

  RunConfig config_;
  const RunLayout& layout_;
  ParallelLayout place_;
  GemmMeasurement measure_gemm_;
  double gemm_flops_per_s_ = 0;  // 0: not measured yet
  double flops_per_token_;
  Profiler* profiler_;

  TrainingArenas arenas_;
  TrainingBuffers buffers_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<BatchSource> train_data_;
  std::unique_ptr<BatchSource> valid_data_;
  Batch batch_;

  int64_t skipped_ = 0;
  int64_t skipped_in_a_row_ = 0;
  Stopwatch since_last_record_;
};

}  // namespace borealis
