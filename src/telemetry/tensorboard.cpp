#include "telemetry/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "base/rounding.h"

namespace borealis {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Markdown: lines that are set in are shown as they are.
std::string configuration_text(const RunSummary& begun) {
  std::string text;
  for (const auto* values : {&begun.configuration, &begun.architecture}) {
    for (const NamedValue& one : *values) {
      text += fmt::format("    {} = {}\n", one.name, one.value);
    }
    text += "    \n";
  }
  return text + fmt::format("    Borealis {}\n", begun.version);
}

}  // namespace

std::filesystem::path tensorboard_folder(const RunConfig& config) {
  if (!config.tracking.tensorboard_dir.empty()) return config.tracking.tensorboard_dir;
  return std::filesystem::path(config.output.run_dir) / "tensorboard";
}

TensorBoard::TensorBoard(const RunConfig& config, const RunSummary& begun,
                         const RunHistory& history)
    : context_(metric_context(config, begun.parameters, begun.flops_per_token)),
      file_(tensorboard_folder(config), static_cast<int64_t>(now_s()), begun.machine.hostname) {
  const double now = now_s();
  // Of step 0, not of the one that the run goes on from: validations by tokens have larger steps
  // than iterations, and a reader forgets by the step alone. All that it forgets comes again.
  file_.write(start_event(now, 0));
  if (!history.run_dir.empty()) put_history(config.output.run_dir, now);
  file_.write(
      text_event(now, history.iteration, "configuration/text_summary", configuration_text(begun)));
  file_.flush();
}

void TensorBoard::put_history(const std::filesystem::path& run_dir, double wall_time_s) {
  constexpr int64_t kMostSteps = 100'000;  // of a longer run one in so many, and the last
  const auto seconds_of = [](const StepRecord& step) {
    return std::isfinite(step.elapsed_ms) ? std::max(0.0, step.elapsed_ms) / 1000 : 0.0;
  };
  int64_t count = 0;
  for_each_step(run_dir, [&](const StepRecord& step) {
    ++count;
    wall_time_s -= seconds_of(step);
  });
  const int64_t stride = divide_up(count, kMostSteps);
  const std::vector<ValidationRecord> validations = read_validation(run_dir);
  auto validation = validations.begin();
  int64_t place = 0;
  for_each_step(run_dir, [&](const StepRecord& step) {
    wall_time_s += seconds_of(step);
    const bool is_last = ++place == count;
    if ((place - 1) % stride == 0 || is_last) put_step(step, wall_time_s);
    for (; validation != validations.end() && validation->iteration <= step.iteration;
         ++validation) {
      put_validation(*validation, wall_time_s);
    }
  });
}

void TensorBoard::put_step(const StepRecord& step, double wall_time_s) {
  const std::vector<TrackedMetric> metrics = step_metrics(step, context_);
  std::vector<EventScalar> scalars;
  for (const TrackedMetric& metric : metrics) {
    if (const double* value = std::get_if<double>(&metric.value)) {
      scalars.push_back({metric.name, *value});
    }
  }
  file_.write(scalar_event(wall_time_s, step.iteration, scalars));
  last_step_ = step;
}

void TensorBoard::put_validation(const ValidationRecord& record, double wall_time_s) {
  if (!std::isfinite(record.lm_loss)) return;
  const std::string loss = record.set == EvaluatedSet::kTest
                               ? "lm-loss-test/lm loss test"
                               : "lm-loss-validation/lm loss validation";
  const auto put = [&](const std::string& against, int64_t step) {
    const std::string loss_tag = loss + against, perplexity_tag = loss + " ppl" + against;
    const std::vector<EventScalar> scalars = {{loss_tag, record.lm_loss},
                                              {perplexity_tag, record.perplexity}};
    file_.write(scalar_event(wall_time_s, step, scalars));
  };
  put("", record.iteration);
  if (!last_step_ || last_step_->consumed_samples == 0) return;
  // What was consumed until then, where the step itself was left out.
  const int64_t samples =
      last_step_->consumed_samples -
      (last_step_->iteration - record.iteration) * last_step_->global_batch_size;
  put(" vs samples", samples);
  put(" vs tokens", samples * (last_step_->consumed_tokens / last_step_->consumed_samples));
}

void TensorBoard::write(const StepRecord& step) {
  put_step(step, now_s());
  file_.flush();
}

void TensorBoard::write(const ValidationRecord& record) {
  put_validation(record, now_s());
  file_.flush();
}

}  // namespace borealis
