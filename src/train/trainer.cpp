#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/run_checkpoints.h"
#include "data/batch_loader.h"
#include "model/accounting.h"
#include "model/parameter_layout.h"
#include "model/step_kernels.h"
#include "optim/lr_schedule.h"
#include "train/signals.h"

namespace borealis {
namespace {

constexpr double kLargestLossInPerplexity = 20;  // exp of more says nothing (contract section 10.1)

// What a loss of the micro-batch counts so that it weighs as much as one of all its tokens.
double loss_weight(const Batch& batch) {
  const int64_t counted = batch.loss_tokens();
  return counted == 0 ? 0.0
                      : static_cast<double>(batch.targets.size()) / static_cast<double>(counted);
}

std::vector<NamedTensor> named_tensors(const ParameterBuffers& parameters) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : parameters.table->entries()) {
    const auto* first = static_cast<const std::byte*>(parameters.weights);
    const int64_t offset_bytes =
        parameter.offset * static_cast<int64_t>(dtype_bytes(parameters.dtype));
    tensors.push_back({parameter.name, parameters.dtype, parameter.shape, first + offset_bytes});
  }
  return tensors;
}

}  // namespace

Trainer::Trainer(const RunConfig& config, const RunLayout& layout, GemmMeasurement measure_gemm,
                 Profiler* profiler)
    : config_(config),
      layout_(layout),
      place_(make_parallel_layout(config.parallel, 0)),
      measure_gemm_(std::move(measure_gemm)),
      flops_per_token_(borealis::flops_per_token(config.model, config.batch.seq_length)),
      profiler_(profiler),
      arenas_(allocate_training_arenas(layout)),
      buffers_(layout, arenas_) {
  train_data_ = make_batch_source(config_, Split::kTrain, 0, place_.data_parallel_rank);
  if (config_.limits.eval_interval > 0) {
    valid_data_ = make_batch_source(config_, Split::kValid, 0, place_.data_parallel_rank);
  }
  initialize_parameters(buffers_.parameters, config_.seed);
  optimizer_ = std::make_unique<AdamW>(config_.optimizer, buffers_.parameters, buffers_.optimizer,
                                       layout.partition.pieces(0));
  model_ = make_language_model(layout.decoder, buffers_.parameters, profiler_);
}

TrainingOutcome Trainer::run(const TrainerEvents& events) {
  const SignalWatch signals;
  const ScheduleLimits& limits = config_.limits;
  TrainingOutcome outcome{.stopped_by = "train_iters", .checkpoint = ""};
  const auto checkpoint = [&](int64_t iteration) {
    if (!config_.output.save_checkpoints) return;
    outcome.checkpoint = save(iteration);
    if (events.on_checkpoint) events.on_checkpoint(outcome.checkpoint);
  };
  since_last_record_ = Stopwatch();
  int64_t iteration = 0;
  bool saved = false;
  while (iteration < limits.train_iters) {
    ++iteration;
    saved = false;
    const StepRecord record = train_step(iteration);
    if (events.on_step) events.on_step(record);
    if (skipped_in_a_row_ >= config_.optimizer.max_skipped_in_a_row) {
      throw Error(ErrorKind::kNumerics,
                  fmt::format("loss or gradient norm was not finite in {} steps in a row, the last "
                              "being iteration {}; nothing was saved",
                              skipped_in_a_row_, iteration),
                  "lower LR, raise LR_WARMUP_FRAC, or look at the data of these steps");
    }
    if (evaluation_is_due(iteration) && events.on_validation) {
      events.on_validation(validate(Split::kValid, iteration));
    }
    if (const char* signal = signals.received()) {
      outcome.stopped_by = signal;
      break;
    }
    if (limits.save_interval > 0 && iteration % limits.save_interval == 0) {
      checkpoint(iteration);
      saved = true;
    }
    if (limits.exit_interval && iteration % *limits.exit_interval == 0) {
      outcome.stopped_by = "exit_interval";
      break;
    }
  }
  if (!saved) checkpoint(iteration);
  if (outcome.stopped_by == "train_iters") validate_at_end(events, iteration);
  return outcome;
}

StepRecord Trainer::train_step(int64_t iteration) {
  StepRecord record;
  record.iteration = iteration;
  record.learning_rate = learning_rate_after(iteration - 1);
  record.next_learning_rate = learning_rate_after(iteration);
  if (profiler_) profiler_->begin_step(iteration);
  const double loss = accumulate_gradients(record);
  update(record, loss);
  if (profiler_) profiler_->end_step();
  complete(record);
  return record;
}

// Mean over the step's micro-batches of the mean over their tokens that have a target, as the
// reference weighs them (contract section 2.7); leaves its gradients.
double Trainer::accumulate_gradients(StepRecord& record) {
  const int64_t micro_batches = config_.batch.grad_accum_steps;
  const auto tokens_per_step = static_cast<double>(micro_batches * config_.batch.micro_batch_size *
                                                   config_.batch.seq_length);
  double loss_sum = 0;
  PassTimes times;
  for (int64_t micro = 0; micro < micro_batches; ++micro) {
    {
      const TimedScope timed(record.data_ms);
      const KernelScope scope = kernel_scope(profiler_, StepKernel::kNextBatch);
      train_data_->next(batch_);
    }
    const double weight = loss_weight(batch_);
    loss_sum +=
        weight * model_->forward_backward(batch_, static_cast<float>(weight / tokens_per_step),
                                          /*accumulate=*/micro > 0, times);
  }
  record.forward_ms = times.forward_ms;
  record.backward_ms = times.backward_ms;
  return loss_sum / tokens_per_step;
}

double Trainer::gradient_norm() const {
  const KernelScope scope = kernel_scope(profiler_, StepKernel::kGradNorm);
  return global_grad_norm(buffers_.parameters);
}

// Clips and steps; a loss or norm that is not finite leaves the weights alone and is counted.
void Trainer::update(StepRecord& record, double loss) {
  const TimedScope timed(record.optimizer_ms);
  const double grad_norm = gradient_norm();
  record.lm_loss = loss;
  record.grad_norm = grad_norm;
  record.skipped = !std::isfinite(loss) || !std::isfinite(grad_norm);
  if (record.skipped) {
    ++skipped_;
    ++skipped_in_a_row_;
    return;
  }
  skipped_in_a_row_ = 0;
  const KernelScope scope = kernel_scope(profiler_, StepKernel::kAdamW);
  optimizer_->step(record.learning_rate, clip_factor(grad_norm, config_.optimizer.max_grad_norm));
}

void Trainer::complete(StepRecord& record) {
  const int64_t samples = config_.batch.global_batch_size;
  record.global_batch_size = samples;
  record.consumed_samples = record.iteration * samples;
  record.consumed_tokens = record.consumed_samples * config_.batch.seq_length;
  record.skipped_iterations = skipped_;
  record.elapsed_ms = since_last_record_.lap_ms();
  record.samples_per_second = static_cast<double>(samples) / (record.elapsed_ms * 1e-3);
  record.tokens_per_gpu_per_second = record.samples_per_second *
                                     static_cast<double>(config_.batch.seq_length) /
                                     static_cast<double>(config_.parallel.world_size);
  const double flops_per_s = record.tokens_per_gpu_per_second * flops_per_token_;
  record.tflops = flops_per_s * 1e-12;
  if (gemm_flops_per_s_ == 0) {
    gemm_flops_per_s_ = measure_gemm_(model_->idle_memory());
    since_last_record_ = Stopwatch();  // the measurement is no part of the second step
  }
  record.gemm_share = flops_per_s / gemm_flops_per_s_;
}

bool Trainer::evaluation_is_due(int64_t iteration) const {
  return valid_data_ && config_.limits.eval_iters > 0 &&
         iteration % config_.limits.eval_interval == 0;
}

// Plain mean over eval_iters rounds of the micro-batches of a step, each of which is the mean over
// its tokens that have a target (contract section 10.1).
ValidationRecord Trainer::validate(Split split, int64_t iteration,
                                   const std::function<void(int64_t, int64_t)>& after_round) {
  std::unique_ptr<BatchSource> own;
  BatchSource* source = valid_data_.get();
  if (split == Split::kTest) {
    own = make_batch_source(config_, Split::kTest, 0, place_.data_parallel_rank);
    source = own.get();
  }
  const int64_t batches = config_.limits.eval_iters * config_.batch.grad_accum_steps;
  double loss_sum = 0;
  for (int64_t i = 1; i <= batches; ++i) {
    source->next(batch_);
    loss_sum += loss_weight(batch_) * model_->forward(batch_);
    if (after_round && i % config_.batch.grad_accum_steps == 0) {
      after_round(i / config_.batch.grad_accum_steps, config_.limits.eval_iters);
    }
  }
  const auto tokens =
      static_cast<double>(batches * config_.batch.micro_batch_size * config_.batch.seq_length);
  const double loss = loss_sum / tokens;
  return {iteration, loss, std::exp(std::min(kLargestLossInPerplexity, loss))};
}

void Trainer::validate_at_end(const TrainerEvents& events, int64_t iteration) {
  if (!events.on_final_validation || config_.limits.eval_iters == 0) return;
  const int64_t samples = config_.limits.eval_iters * config_.batch.global_batch_size;
  if (valid_data_) {
    events.on_final_validation(validate(Split::kValid, iteration, events.on_evaluation), samples,
                               "validation");
  }
  if (config_.limits.eval_interval > 0 && requested_samples(config_, Split::kTest) > 0) {
    events.on_final_validation(validate(Split::kTest, iteration, events.on_evaluation), samples,
                               "test");
  }
}

std::string Trainer::save(int64_t iteration) {
  return save_checkpoint(config_.output.checkpoint_dir, iteration, config_.model,
                         named_tensors(buffers_.parameters),
                         {.tokenizer = tokenizer_source(config_.data)})
      .string();
}

double Trainer::learning_rate_after(int64_t iterations) const {
  const auto samples = static_cast<double>(config_.batch.global_batch_size);
  const auto decay_iters =
      static_cast<double>(config_.schedule.decay_iters.value_or(config_.limits.train_iters));
  return learning_rate_at(config_.schedule, static_cast<double>(iterations) * samples,
                          decay_iters * samples);
}

}  // namespace borealis
