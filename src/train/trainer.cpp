#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <ranges>
#include <utility>

#include "base/date_time.h"
#include "base/error.h"
#include "base/log.h"
#include "checkpoint/folder_check.h"
#include "comm/collectives.h"
#include "data/batch_loader.h"
#include "model/accounting.h"
#include "model/parameter_layout.h"
#include "model/step_kernels.h"
#include "optim/gradient_norm.h"
#include "optim/lr_schedule.h"
#include "parallel/join_group.h"
#include "train/state_transfer.h"
#include "train/step_times.h"
#include "train/stop_conditions.h"
#include "train/tokenizer_match.h"

namespace borealis {
namespace {

constexpr double kSecondsPerMinute = 60;

}  // namespace

Trainer::Trainer(const RunConfig& config, const RunLayout& layout, RunStart start,
                 TrainerOptions options)
    : config_(config),
      layout_(layout),
      backend_(options.backend == nullptr ? cpu_backend() : *options.backend),
      alone_(options.ranks == nullptr ? make_lone_communicator() : nullptr),
      ranks_(options.ranks == nullptr ? *alone_ : *options.ranks),
      place_(make_parallel_layout(config.parallel, ranks_.rank())),
      options_(std::move(options)),
      flops_per_token_(borealis::flops_per_token(config.model, config.batch.seq_length)),
      arenas_(allocate_training_arenas(layout, backend_.device())),
      buffers_(layout, arenas_),
      shard_(layout.zero_stage == 0 ? 0 : place_.replica),
      optimizer_ops_(
          backend_.make_optimizer_ops(layout.gpu_optimizer(), buffers_.optimizer_scratch)),
      optimizer_(config_.optimizer, *optimizer_ops_, buffers_.parameters, buffers_.optimizer,
                 layout.partition.pieces(shard_)) {
  CHECK(ranks_.size() == config.parallel.world_size);
  load(start);
  state_ = std::move(start.state);
  optimizer_.set_steps(state_.optimizer_steps);
  if (const auto factor = config_.optimizer.skip_grad_norm_factor) {
    spikes_.emplace(*factor, config_.optimizer.skip_grad_norm_window);
    spikes_->restore(state_.recent_grad_norms);
  }
  open_data();
  if (options_.profiler != nullptr && !backend_.device().is_host()) {
    options_.profiler->use(backend_.device());
  }
  if (ranks_.size() > 1) {
    if (layout.is_on_group()) {
      group_ = join_group(backend_, ranks_, kSecondsPerMinute * config.parallel.timeout_minutes);
      joined_.emplace(ranks_, *group_, buffers_.group);
    }
    sharded_.emplace(ranks_, buffers_.parameters, layout.partition, layout.secondary, buffers_.sums,
                     backend_.device(), joined_ ? &*joined_ : nullptr);
    if (options_.profiler != nullptr) {
      sharded_->observe([this](const ExchangeSpan& span) { profile(span); });
    }
  }
  if (sharded_) {
    sharded_->share_weights();
    sharded_->finish_weights();
  }
  make_saver(start);
  if (config.parallel.sequence_parallel_size > 1) {
    sequence_exchange_.emplace(ranks_.split(place_.data_parallel_rank));
  }
  model_ = make_language_model(layout.decoder, buffers_.parameters, options_.profiler,
                               sharded_ ? &*sharded_ : nullptr, backend_,
                               sequence_exchange_ ? &*sequence_exchange_ : nullptr);
}

void Trainer::load(const RunStart& start) {
  if (!start.model_folder.empty()) {
    const LongWaits patient(ranks_);
    together(ranks_, "loading the weights", [&] {
      if (ranks_.rank() == 0) require_sound_weights(start.model_folder);
      const ModelWeights weights(start.model_folder);
      require_promised(weights, promised_tensors(layout_.table), start.model_folder,
                       config_.model.tie_word_embeddings);
      load_model_weights(weights, layout_, buffers_, shard_, backend_.device());
    });
    return;
  }
  if (!start.checkpoint) {
    initialize_parameters(buffers_.parameters, layout_.partition.pieces(shard_), config_.seed,
                          backend_.device());
    return;
  }
  started_from_ = start.checkpoint->folder.string();
  try {
    // Of no update there are no moments: they start as zeros.
    const bool moments = start.load_moments && start.checkpoint->state.optimizer_steps > 0;
    const LongWaits patient(ranks_);
    together(ranks_, "loading the checkpoint", [&] {
      DirectBlocks blocks;
      // Where this rank's part begins: every unit is cut into as many parts as there are shards.
      const int64_t nearest = start.checkpoint->state.shards * shard_ / layout_.partition.shards();
      load_checkpoint(*start.checkpoint,
                      state_targets(layout_, buffers_, shard_, moments, backend_.device()), blocks,
                      ranks_.rank() == 0 ? Verify::kEveryFile : Verify::kStateAlone, nearest);
      if (moments) restore_derived_state(layout_, buffers_, shard_, backend_.device());
    });
  } catch (const Error& damage) {
    if (damage.kind() == ErrorKind::kRanks) throw;
    throw DamagedCheckpoint(damage);
  }
}

// Of a run that begins or goes on with the weights of a model, what that had besides them.
ModelCompanions Trainer::companions_of(const RunStart& start) const {
  const std::optional<TokenizerSource> tokenizer = tokenizer_source(config_.data);
  const std::filesystem::path folder =
      start.checkpoint ? start.checkpoint->folder : start.model_folder;
  const bool fits = tokenizer && !folder.empty() && is_tokenizer_of(*tokenizer, folder) == true;
  return ModelCompanions(tokenizer, fits ? folder : std::filesystem::path());
}

void Trainer::make_saver(const RunStart& start) {
  const bool all_save = layout_.zero_stage > 0;
  if (!config_.output.save_checkpoints || (!all_save && ranks_.rank() > 0)) return;
  if (!all_save && !alone_) alone_ = make_lone_communicator();
  const CheckpointWriters writers{all_save ? ranks_ : *alone_, sharded_ ? &*sharded_ : nullptr};
  saver_ = std::make_unique<CheckpointSaver>(
      config_, layout_, arenas_, buffers_, options_.save_in_background, writers, backend_.device(),
      ranks_.rank() == 0 ? companions_of(start) : ModelCompanions());
}

void Trainer::open_data() {
  const LongWaits patient(ranks_);
  if (ranks_.size() > 1) {
    // A lock of the cache's folder may not reach beyond this host.
    together(ranks_, "indexing the data", [this] {
      if (ranks_.rank() == 0) make_index_files(config_, state_.data_order, state_.consumed);
    });
  }
  if (state_.iteration < config_.limits.train_iters) {
    train_data_ = batches_of(Split::kTrain, state_.consumed.train);
  }
  valid_data_ = batches_of(Split::kValid, state_.consumed.valid);
  if (ranks_.size() > 1) ranks_.barrier("opening the data");
}

RunState Trainer::state() const {
  RunState state = state_;
  state.optimizer_steps = optimizer_.steps();
  state.recent_grad_norms = spikes_ ? spikes_->recent() : std::vector<double>();
  state.shards = layout_.partition.shards();
  std::error_code unknown;
  state.run_dir = std::filesystem::absolute(config_.output.run_dir, unknown).string();
  state.written_at = date_time_text();
  state.version = options_.version;
  return state;
}

void Trainer::save(const TrainerEvents& events, TrainingOutcome& outcome, bool wait) {
  if (!config_.output.save_checkpoints) return;
  ranks_.set_phase("saving a checkpoint");
  const LongWaits patient(ranks_);
  if (saver_) {
    saver_->wait();  // for the one before, which is told first
    report_saved(events, outcome);
    if (sharded_) sharded_->finish_weights();
    saver_->save(state());
    if (wait) saver_->wait();
  }
  report_saved(events, outcome);
  await_lone_writer();
}

// Where rank 0 alone saves, the others would wait for it in their next call, which has not as long.
void Trainer::await_lone_writer() {
  const LongWaits patient(ranks_);
  if (layout_.zero_stage == 0) ranks_.barrier("saving a checkpoint");
}

// For what is still written, if anything is.
void Trainer::finish_saving() {
  if (!config_.output.save_checkpoints) return;
  if (saver_) {
    const LongWaits patient(ranks_);
    saver_->wait();
  }
  await_lone_writer();
}

void Trainer::report_saved(const TrainerEvents& events, TrainingOutcome& outcome) {
  if (!saver_) return;
  const LongWaits patient(ranks_);  // also for the removal of older ones
  const auto folder = saver_->take_completed();
  if (!folder) return;
  outcome.checkpoint = folder->string();
  if (events.on_checkpoint) events.on_checkpoint(outcome.checkpoint);
}

TrainingOutcome Trainer::run(const TrainerEvents& events) {
  const ScheduleLimits& limits = config_.limits;
  const StopConditions stop(limits);
  TrainingOutcome outcome{.stopped_by = "train_iters", .checkpoint = started_from_};
  if (const auto reason = agreed(stop.before_training())) {
    outcome.stopped_by = *reason;
    return outcome;
  }
  // The disk of a run's records may be full, and that of its checkpoints not: what a listener fails
  // with ends the run as a signal does, with a save.
  std::exception_ptr failure;
  const auto tell = [&failure](const auto& event, const auto& what) {
    if (!event) return;
    try {
      event(what);
    } catch (const Error&) {
      if (!failure) failure = std::current_exception();
    }
  };
  TrainerEvents of_saves;
  of_saves.on_checkpoint = [&](const std::string& folder) { tell(events.on_checkpoint, folder); };
  since_last_record_ = Stopwatch();
  bool saved = true;  // what it starts from is
  if (state_.iteration >= limits.train_iters && saver_) saver_->complete(state_.iteration);
  while (state_.iteration < limits.train_iters) {
    const int64_t iteration = state_.iteration + 1;
    std::optional<StepRecord> record;
    if (!data_serves([&] { record = train_step(iteration); }, failure)) {
      advise_to_pass_over(iteration);
      outcome.stopped_by = "error";
      break;
    }
    saved = false;
    if (saver_) saver_->step_done();
    tell(events.on_step, *record);
    report_saved(of_saves, outcome);
    require_finite_steps(iteration);
    if (evaluation_is_due(iteration)) {  // also where nobody listens: other ranks take part
      std::optional<ValidationRecord> validation;
      if (data_serves([&] { validation = validate(Split::kValid, iteration); }, failure)) {
        tell(events.on_validation, *validation);
      }
    }
    if (const auto signal = agreed(failure ? "error" : stop.signal())) {
      outcome.stopped_by = *signal;
      break;
    }
    if (limits.save_interval > 0 && iteration % limits.save_interval == 0) {
      save(of_saves, outcome, /*wait=*/iteration == limits.train_iters);
      saved = true;
    }
    if (const auto reason = agreed(stop.after(iteration))) {
      outcome.stopped_by = *reason;
      break;
    }
  }
  if (saved) finish_saving();
  if (!saved) save(of_saves, outcome, /*wait=*/true);
  report_saved(of_saves, outcome);
  if (failure) std::rethrow_exception(failure);
  if (outcome.stopped_by == "train_iters") validate_at_end(events, state_.iteration);
  if (sharded_) sharded_->finish_weights();
  return outcome;
}

// A reason to stop that any rank has is one for all, at the same step.
std::optional<std::string> Trainer::agreed(const std::optional<std::string>& reason) const {
  if (ranks_.size() == 1) return reason;
  std::array<char, 32> mine{};
  if (reason) std::ranges::copy(*reason | std::views::take(mine.size() - 1), mine.begin());
  for (const auto& text : all_values(ranks_, mine, "agreeing on the end of the run")) {
    if (text[0] != 0) return std::string(text.data());
  }
  return std::nullopt;
}

void Trainer::require_finite_steps(int64_t iteration) const {
  if (state_.skipped_in_a_row < config_.optimizer.max_skipped_in_a_row) return;
  // Of all ranks: what is not finite is summed over them.
  throw AgreedError(
      ErrorKind::kNumerics,
      fmt::format("loss or gradient norm was not finite in {} steps in a row, iterations {} "
                  "to {}, which is not saved",
                  state_.skipped_in_a_row, iteration - state_.skipped_in_a_row + 1, iteration),
      "lower LR or raise LR_WARMUP_FRAC (with OVERRIDE_CKPT_OPT_PARAM=1 where the run goes "
      "on from a checkpoint, whose LR holds otherwise), or look at the data of these steps");
}

StepRecord Trainer::train_step(int64_t iteration) {
  ranks_.set_phase(fmt::format("step {}", iteration));
  const ScheduleLimits& limits = config_.limits;
  StepRecord record;
  record.iteration = iteration;
  record.learning_rate = learning_rate_after(iteration - 1);
  record.next_learning_rate = learning_rate_after(iteration);
  Profiler* profiler = options_.profiler;
  if (profiler) profiler->begin_step(iteration);
  if (std::ranges::any_of(limits.ranges_to_skip,
                          [&](const IterationRange& range) { return range.contains(iteration); })) {
    pass_over_data(record);
  } else if (std::ranges::count(limits.forward_only_after, iteration - 1) > 0) {
    record.lm_loss = forward_only(record);
    skip(record, SkipReason::kForwardOnly);
  } else {
    const StepLoss loss = accumulate_gradients(record);
    if (update(record, loss) && sharded_) {
      const TimedScope timed(record.communication_ms);
      sharded_->share_weights();
    }
  }
  if (profiler) profiler->end_step();
  state_.iteration = iteration;
  state_.consumed.train += config_.batch.global_batch_size;
  complete(record);
  return record;
}

double Trainer::forward_only(StepRecord& record) {
  StepLoss loss = loss_of(config_.batch.grad_accum_steps);
  for (int64_t micro = 0; micro < config_.batch.grad_accum_steps; ++micro) {
    {
      const TimedScope timed(record.data_ms);
      next_batch(*train_data_, loss);
    }
    const TimedScope timed(record.forward_ms);
    loss.add(batch_, model_->forward(batch_));
  }
  const TimedScope timed(record.communication_ms);
  add_up(loss);
  return loss.mean();
}

StepLoss Trainer::loss_of(int64_t micro_batches) const {
  return {config_.optimizer.loss_mean, config_.parallel.data_parallel_size() * micro_batches *
                                           config_.batch.micro_batch_size *
                                           config_.batch.seq_length};
}

// Leaves the loss's gradients, up to its gradient_factor.
StepLoss Trainer::accumulate_gradients(StepRecord& record) {
  StepLoss loss = loss_of(config_.batch.grad_accum_steps);
  PassTimes times;
  for (int64_t micro = 0; micro < config_.batch.grad_accum_steps; ++micro) {
    {
      const TimedScope timed(record.data_ms);
      const KernelScope scope = kernel_scope(options_.profiler, StepKernel::kNextBatch);
      next_batch(*train_data_, loss);
    }
    const bool last = micro + 1 == config_.batch.grad_accum_steps;
    if (sharded_) sharded_->begin_micro_batch(/*first=*/micro == 0, last);
    loss.add(batch_, model_->forward_backward(batch_, loss.gradient_scale(batch_),
                                              /*accumulate=*/micro > 0, times));
  }
  record.forward_ms = times.forward_ms;
  record.backward_ms = times.backward_ms;
  record.communication_ms += times.communication_ms;
  const TimedScope timed(record.communication_ms);
  if (sharded_) sharded_->finish_gradients();
  add_up(loss);
  return loss;
}

// Beside the kernels, on a row of its own.
void Trainer::profile(const ExchangeSpan& span) {
  Profiler& profiler = *options_.profiler;
  if (!profiler.recording()) return;
  const StepKernel kernel = span.what == Exchange::kGradients       ? StepKernel::kSumGradients
                            : span.what == Exchange::kEmbeddingRows ? StepKernel::kSumEmbeddingRows
                                                                    : StepKernel::kGatherWeights;
  // What began behind the update of the step before may be older than the profile.
  const auto ns_at = [&](ExchangeSpan::Clock::time_point time) {
    return std::max<int64_t>(0, profiler.ns_at(time));
  };
  profiler.record(static_cast<int>(kernel), ns_at(span.begin), ns_at(span.end),
                  span.received_bytes);
}

double Trainer::gradient_norm() const {
  const KernelScope scope = kernel_scope(options_.profiler, StepKernel::kGradNorm);
  return global_grad_norm(ranks_, *optimizer_ops_, buffers_.parameters, layout_.partition);
}

// Clips and steps; a loss or norm that is not finite leaves the weights alone and is counted, and
// so is, where that is asked for, a norm far above those before it. Without a token that counts
// there is nothing to learn from: not even the weights decay. Whether they changed.
bool Trainer::update(StepRecord& record, const StepLoss& loss) {
  record.lm_loss = loss.mean();
  if (loss.counted_tokens() == 0) {
    skip(record, SkipReason::kNoTokens);
    return false;
  }
  const TimedScope timed(record.optimizer_ms);
  const double grad_norm = loss.gradient_factor() * gradient_norm();
  record.grad_norm = grad_norm;
  if (!std::isfinite(record.lm_loss) || !std::isfinite(grad_norm)) {
    ++state_.skipped_in_a_row;
    skip(record, SkipReason::kNotFinite);
    return false;
  }
  state_.skipped_in_a_row = 0;
  if (spikes_ && spikes_->add(grad_norm)) {
    skip(record, SkipReason::kNormSpike);
    return false;
  }
  const KernelScope scope = kernel_scope(options_.profiler, StepKernel::kAdamW);
  optimizer_.step(record.learning_rate,
                  loss.gradient_factor() * clip_factor(grad_norm, config_.optimizer.max_grad_norm),
                  saver_ ? saver_->state_to_move_to() : nullptr);
  backend_.device().wait();
  return true;
}

void Trainer::skip(StepRecord& record, SkipReason reason) {
  record.skipped = true;
  record.skip_reason = reason;
  ++state_.skipped_iterations;
}

void Trainer::complete(StepRecord& record) {
  if (ranks_.size() == 1) record.communication_ms = 0;  // calls that have nothing to do
  record.of_ranks = step_times_of_ranks(ranks_, record);
  const int64_t samples = config_.batch.global_batch_size;
  record.global_batch_size = samples;
  record.consumed_samples = state_.consumed.train;
  record.consumed_tokens = record.consumed_samples * config_.batch.seq_length;
  record.skipped_iterations = state_.skipped_iterations;
  record.elapsed_ms = since_last_record_.lap_ms();
  record.samples_per_second = static_cast<double>(samples) / (record.elapsed_ms * 1e-3);
  record.tokens_per_gpu_per_second = record.samples_per_second *
                                     static_cast<double>(config_.batch.seq_length) /
                                     static_cast<double>(config_.parallel.world_size);
  const double flops_per_s = record.tokens_per_gpu_per_second * flops_per_token_;
  record.tflops = flops_per_s * 1e-12;
  if (!gemm_flops_per_s_) {
    gemm_flops_per_s_ = options_.measure_gemm ? options_.measure_gemm(model_->idle_memory()) : 0.0;
    since_last_record_ = Stopwatch();  // the measurement is no part of the second step
  }
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  record.gemm_share = *gemm_flops_per_s_ > 0 ? flops_per_s / *gemm_flops_per_s_ : kUnknown;
  if (record.skip_reason != SkipReason::kRange) return;
  // Nothing was computed.
  record.samples_per_second = record.tokens_per_gpu_per_second = kUnknown;
  record.tflops = record.gemm_share = kUnknown;
}

double Trainer::learning_rate_after(int64_t iterations) const {
  const ScheduleProgress progress =
      schedule_progress(state_.batch_start, iterations, config_.batch.global_batch_size);
  const auto decay_iters =
      static_cast<double>(config_.schedule.decay_iters.value_or(config_.limits.train_iters));
  return learning_rate_at(config_.schedule, static_cast<double>(progress.samples),
                          decay_iters * static_cast<double>(progress.batch));
}

}  // namespace borealis
