#include "train/other_global_batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/json_number.h"
#include "checkpoint/damage.h"

namespace borealis {
namespace {

int64_t saved_global_batch(const nlohmann::json& saved, const std::string& path) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const auto batch = saved.find("batch");
  if (batch != saved.end() && batch->is_object()) {
    const auto size =
        whole_number_in(batch->value("global_batch_size", nlohmann::json()), 1, kMost);
    if (size) return *size;
  }
  reject_checkpoint(path, "configuration.batch.global_batch_size is missing or wrong");
}

ScheduleProgress progress_of(const RunState& state, const std::string& path) {
  return schedule_progress(state.batch_start, state.iteration,
                           saved_global_batch(state.configuration, path));
}

}  // namespace

void end_with_train_tokens(const RunState& state, RunConfig& config) {
  ScheduleLimits& limits = config.limits;
  if (!limits.train_tokens) return;
  const BatchConfig& batch = config.batch;
  const int64_t left = *limits.train_tokens / batch.seq_length - state.consumed.train;
  if (left <= 0) {
    limits.train_iters = std::min(limits.train_iters, state.iteration);
    return;
  }
  limits.train_iters = state.iteration + left / batch.global_batch_size;
  int64_t tokens = 0;
  if (__builtin_mul_overflow(limits.train_iters, batch.global_batch_size, &tokens) ||
      __builtin_mul_overflow(tokens, batch.seq_length, &tokens)) {
    throw Error(ErrorKind::kConfig, "TRAIN_TOKENS in steps of this GLOBAL_BATCH are too many",
                "train on fewer tokens, or with a smaller batch");
  }
}

GlobalBatchStart batch_start_of_resumed(const RunState& state, const std::string& path,
                                        RunConfig& config) {
  const int64_t batch = config.batch.global_batch_size;
  const bool by_samples = config.limits.train_tokens.has_value();
  const bool changes = saved_global_batch(state.configuration, path) != batch;
  GlobalBatchStart start = state.batch_start;
  if (changes) start = {.iteration = state.iteration, .consumed_samples = state.consumed.train};
  if (config.checkpoint.override_schedule) {
    start.schedule.reset();
    if (by_samples && start != GlobalBatchStart{}) {
      start.schedule =
          SchedulePlace{.batch = batch, .samples = start.consumed_samples, .step = batch};
      std::optional<int64_t>& decay_iters = config.schedule.decay_iters;
      if (!decay_iters) decay_iters = *config.limits.train_tokens / config.batch.seq_length / batch;
    }
  } else if (changes) {
    const ScheduleProgress here = progress_of(state, path);
    start.schedule = SchedulePlace{
        .batch = here.batch, .samples = here.samples, .step = by_samples ? batch : here.batch};
  }
  return start;
}

GlobalBatchStart batch_start_of_reset(const RunState& state, const std::string& path,
                                      const RunConfig& config) {
  const int64_t schedule_batch = progress_of(state, path).batch;
  const int64_t batch = config.batch.global_batch_size;
  if (schedule_batch == batch || config.checkpoint.override_schedule) return {};
  GlobalBatchStart start;
  start.schedule = SchedulePlace{.batch = schedule_batch,
                                 .samples = 0,
                                 .step = config.limits.train_tokens ? batch : schedule_batch};
  return start;
}

int64_t last_of_schedule(const GlobalBatchStart& start, const RunConfig& config) {
  const int64_t decay_iters = config.schedule.decay_iters.value_or(config.limits.train_iters);
  if (!start.schedule) return decay_iters;
  const SchedulePlace& place = *start.schedule;
  const double left = static_cast<double>(decay_iters) * static_cast<double>(place.batch) -
                      static_cast<double>(place.samples);
  const double steps = std::ceil(left / static_cast<double>(place.step));
  return start.iteration + static_cast<int64_t>(std::clamp(steps, -1e18, 1e18));
}

}  // namespace borealis
