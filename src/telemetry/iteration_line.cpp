#include "telemetry/iteration_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace borealis {
namespace {

constexpr size_t kTimerNameColumns = 48;

std::string validation_message(const std::string& place, const ValidationRecord& record) {
  // No separator between loss and perplexity: that is how the published logs look.
  const std::string message =
      fmt::format(" validation loss at {} | lm loss value={:.6f}lm loss PPL={:.6f}", place,
                  record.lm_loss, record.perplexity);
  const std::string dashes(message.size() + 1, '-');
  return fmt::format("{}\n{}\n{}", dashes, message, dashes);
}

// visit(time of `times`, the same of `others`) for each.
template <typename Visit>
void for_each_time(StepTimesOfRanks& times, const StepTimesOfRanks& others, const Visit& visit) {
  for (RankTimes StepTimesOfRanks::*const kind :
       {&StepTimesOfRanks::data, &StepTimesOfRanks::forward, &StepTimesOfRanks::backward,
        &StepTimesOfRanks::optimizer, &StepTimesOfRanks::forward_backward,
        &StepTimesOfRanks::computing}) {
    visit((times.*kind).min_ms, (others.*kind).min_ms);
    visit((times.*kind).median_ms, (others.*kind).median_ms);
    visit((times.*kind).max_ms, (others.*kind).max_ms);
  }
}

StepTimesOfRanks times_of_one_rank(const StepRecord& step) {
  const auto alone = [](double time_ms) { return RankTimes{time_ms, time_ms, time_ms}; };
  return {.data = alone(step.data_ms),
          .forward = alone(step.forward_ms),
          .backward = alone(step.backward_ms),
          .optimizer = alone(step.optimizer_ms),
          .forward_backward = alone(step.data_ms + step.forward_ms + step.backward_ms),
          .computing = {},
          .slowest = 0};
}

std::string number_text(double value) {
  return std::isnan(value) ? "not a number" : fmt::format("{:.6g}", value);
}

}  // namespace

void IterationInterval::add(const StepRecord& step) {
  // Sums until take() divides them: milliseconds, and rate x milliseconds.
  StepRecord sum = step;
  const StepRecord& before = line_.last;
  sum.elapsed_ms += before.elapsed_ms;
  sum.forward_ms += before.forward_ms;
  sum.backward_ms += before.backward_ms;
  sum.optimizer_ms += before.optimizer_ms;
  sum.communication_ms += before.communication_ms;
  sum.data_ms += before.data_ms;
  if (sum.of_ranks && before.of_ranks) {
    for_each_time(*sum.of_ranks, *before.of_ranks, [](double& time, double more) { time += more; });
  }
  const bool passed_over = step.skip_reason == SkipReason::kRange;  // its rates are not known
  passed_over_ += passed_over;
  const auto add_rate = [&](double StepRecord::*rate) {
    sum.*rate = before.*rate + (passed_over ? 0 : step.*rate * step.elapsed_ms);
  };
  add_rate(&StepRecord::samples_per_second);
  add_rate(&StepRecord::tokens_per_gpu_per_second);
  add_rate(&StepRecord::tflops);
  add_rate(&StepRecord::gemm_share);
  line_.last = sum;
  ++line_.steps;
  if (step.skipped) {
    ++line_.skipped;
    const bool has_loss =
        step.skip_reason != SkipReason::kRange && step.skip_reason != SkipReason::kNoTokens;
    if (has_loss && !std::isfinite(step.lm_loss)) ++line_.nan;
  } else {
    loss_sum_ += step.lm_loss;
  }
}

IterationLine IterationInterval::take() {
  CHECK(line_.steps > 0, "no step since the last iteration line");
  StepRecord& last = line_.last;
  const auto steps = static_cast<double>(line_.steps);
  if (last.elapsed_ms > 0) {
    for (double* rate : {&last.samples_per_second, &last.tokens_per_gpu_per_second, &last.tflops,
                         &last.gemm_share}) {
      *rate = passed_over_ == line_.steps ? std::numeric_limits<double>::quiet_NaN()
                                          : *rate / last.elapsed_ms;
    }
  }
  for (double* time : {&last.elapsed_ms, &last.forward_ms, &last.backward_ms, &last.optimizer_ms,
                       &last.communication_ms, &last.data_ms}) {
    *time /= steps;
  }
  if (last.of_ranks) {
    for_each_time(*last.of_ranks, *last.of_ranks, [&](double& time, double) { time /= steps; });
  }
  last.lm_loss = loss_sum_ / static_cast<double>(std::max<int64_t>(1, line_.steps - line_.skipped));
  loss_sum_ = 0;
  passed_over_ = 0;
  return std::exchange(line_, {});
}

std::string format_iteration_line(const IterationLine& line, const IterationLineContext& context) {
  const StepRecord& step = line.last;
  std::string text = fmt::format(" iteration={:8d}/{:8d} |", step.iteration, context.train_iters);
  const auto field = [&text](const std::string& named_value) { text += " " + named_value + " |"; };
  field(fmt::format("consumed_samples={:12d}", step.consumed_samples));
  field(fmt::format("consumed_tokens={:12d}", step.consumed_tokens));
  field(fmt::format("elapsed_time_per_iteration_ms={:.1f}", step.elapsed_ms));
  field(fmt::format("learning_rate={:.6g}", step.next_learning_rate));
  field(fmt::format("global_batch_size={:5d}", step.global_batch_size));
  if (step.lm_loss > 0) field(fmt::format("lm loss={:.6f}", step.lm_loss));
  if (context.has_loss_scale) field("loss_scale=1.0");
  if (step.grad_norm) field(fmt::format("grad_norm={:.3f}", *step.grad_norm));
  field(fmt::format("actual_seqlen={:5d}", context.seq_length));
  field(fmt::format("number_of_skipped_iterations={:3d}", line.skipped));
  field(fmt::format("number_of_nan_iterations={:3d}", line.nan));
  field(fmt::format("samples_per_second={:.3f}", step.samples_per_second));
  field(fmt::format("tokens_per_gpu_per_second_tgs={:.3f}", step.tokens_per_gpu_per_second));
  field(fmt::format("TFLOPs={:.2f}", step.tflops));
  return text;
}

std::string format_iteration_line(const StepRecord& step, const IterationLineContext& context) {
  IterationInterval interval;
  interval.add(step);
  IterationLine line = interval.take();
  line.last = step;  // the very numbers, not x * t / t
  if (step.skipped) line.last.lm_loss = 0;
  return format_iteration_line(line, context);
}

std::string format_timers(const IterationLine& line, int64_t timing_log_level) {
  if (timing_log_level < 1) return "";
  std::string text = "(min, max) time across ranks (ms):";
  const auto timer = [&text](const std::string& name, const RankTimes& times) {
    std::string padded = name + ' ';
    padded.resize(std::max(padded.size(), kTimerNameColumns), '.');
    text += fmt::format("\n    {}: ({:.2f}, {:.2f})", padded, times.min_ms, times.max_ms);
  };
  const StepTimesOfRanks times = line.last.of_ranks.value_or(times_of_one_rank(line.last));
  timer("forward-backward", times.forward_backward);
  if (timing_log_level >= 2) {
    timer("batch-generator", times.data);
    timer("forward-compute", times.forward);
    timer("backward-compute", times.backward);
  }
  timer("optimizer", times.optimizer);
  return text;
}

std::string format_validation(const ValidationRecord& record) {
  std::string place = fmt::format("iteration {}", record.iteration);
  if (record.at_end) {
    place += fmt::format(" on {}-sample draw from {} set", record.samples,
                         record.set == EvaluatedSet::kTest ? "test" : "validation");
  }
  return validation_message(place, record);
}

std::string format_skipped(const StepRecord& step) {
  const double norm = step.grad_norm.value_or(0.0);
  std::string why;
  switch (step.skip_reason) {
    case SkipReason::kRange:
      why = "its data was passed over, as asked for";
      break;
    case SkipReason::kForwardOnly:
      why = fmt::format("loss {} without an update, as asked for", number_text(step.lm_loss));
      break;
    case SkipReason::kNoTokens:
      why = "none of its tokens counts in the loss (--eod-mask-loss); there was no update";
      break;
    case SkipReason::kNormSpike:
      why = fmt::format("gradient norm {} is far above those before it; the update was skipped",
                        number_text(norm));
      break;
    case SkipReason::kNotFinite:
    case SkipReason::kNone:
      why = fmt::format("loss {} and gradient norm {} are not both finite; the update was skipped",
                        number_text(step.lm_loss), number_text(norm));
      break;
  }
  return fmt::format("iteration {}: {} ({} so far in this run)", step.iteration, why,
                     step.skipped_iterations);
}

std::string format_evaluation(int64_t round, int64_t rounds) {
  return fmt::format("Evaluating iter {}/{}", round, rounds);
}

}  // namespace borealis
