#include "train/other_global_batch.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json_number.h"
#include "checkpoint/damage.h"

namespace borealis {
namespace {

int64_t saved_global_batch(const nlohmann::json& saved, const std::string& path) {
  const nlohmann::json::json_pointer place("/batch/global_batch_size");
  if (saved.contains(place)) {
    if (const auto batch = whole_number_in(saved[place], 1, kMostOfStep)) return *batch;
  }
  reject_checkpoint(path, "configuration.batch.global_batch_size is missing or wrong");
}

int64_t decay_iters_of(const RunConfig& config) {
  return config.schedule.decay_iters.value_or(config.limits.train_iters);
}

}  // namespace

void end_with_train_tokens(const RunState& state, RunConfig& config) {
  ScheduleLimits& limits = config.limits;
  if (!limits.train_tokens) return;
  const int64_t left = *limits.train_tokens / config.batch.seq_length - state.consumed.train;
  limits.train_iters =
      state.iteration + std::max<int64_t>(left, 0) / config.batch.global_batch_size;
}

void begin_other_global_batch(const nlohmann::json& saved, const std::string& path,
                              const RunConfig& config, RunState& state) {
  const ScheduleProgress here =
      schedule_progress(state.batch_start, state.iteration, saved_global_batch(saved, path));
  state.batch_start = {
      .iteration = state.iteration,
      .consumed_samples = state.consumed.train,
      .schedule = SchedulePlace{
          .batch = here.batch,
          .samples = here.samples,
          .step = config.limits.train_tokens ? config.batch.global_batch_size : here.batch}};
}

int64_t last_of_schedule(const RunState& state, const RunConfig& config) {
  const GlobalBatchStart& start = state.batch_start;
  if (!start.schedule) return decay_iters_of(config);
  const double samples =
      static_cast<double>(decay_iters_of(config)) * static_cast<double>(start.schedule->batch) -
      static_cast<double>(start.schedule->samples);
  const double steps = std::ceil(samples / static_cast<double>(start.schedule->step));
  return start.iteration + static_cast<int64_t>(std::clamp(steps, 0.0, 1e18));
}

}  // namespace borealis
