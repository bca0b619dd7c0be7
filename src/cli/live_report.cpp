#include "cli/live_report.h"

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/log.h"
#include "telemetry/metrics_file.h"

namespace borealis {

LiveReport::LiveReport(const RunConfig& config, const RunSummary& summary)
    : interval_s_(config.output.report_interval_s) {
  if (interval_s_ <= 0) return;
  results_.summary = summary;
  results_.run_dir = config.output.run_dir;
  results_.is_running = true;
  try {
    series_ = read_metrics(results_.run_dir, kMostSteps);
    results_.validations = read_validation(results_.run_dir);
    results_.config_json = read_text_file(results_.run_dir / "config.json");
  } catch (const Error& error) {
    log_warning(
        fmt::format("reports of the run that goes on lack its history: {}", fault_text(error)));
  }
}

TrainerEvents LiveReport::listen(TrainerEvents events) {
  if (interval_s_ <= 0) return events;
  events.on_step = [this, next = std::move(events.on_step)](const StepRecord& record) {
    if (next) next(record);
    on_step(record);
  };
  events.on_validation = [this, next = std::move(events.on_validation)](const auto& record) {
    if (next) next(record);
    if (record.set == EvaluatedSet::kValidation) results_.validations.push_back(record);
  };
  return events;
}

void LiveReport::on_step(const StepRecord& record) {
  series_.add(record);
  if (since_report_.elapsed_ms() < interval_s_ * 1e3 || task_.is_busy()) return;
  tell_outcome();
  since_report_ = {};
  begin_report();
}

void LiveReport::begin_report() {
  RunResults results = results_;
  take_steps(series_, results);
  try {
    task_.start([this, results = std::move(results)] {
      try {
        outcome_.report = write_run_report(results).html.string();
      } catch (const std::exception& error) {
        if (outcome_.failure.empty()) outcome_.failure = fault_text(error);
      }
    });
  } catch (const std::exception& error) {  // the system has no thread for it
    if (outcome_.failure.empty()) outcome_.failure = fault_text(error);
  }
}

void LiveReport::tell_outcome() {
  if (!outcome_.failure.empty() && !std::exchange(outcome_.told_failure, true)) {
    log_warning(fmt::format("no report of the run so far: {}", outcome_.failure));
  }
  if (!outcome_.report.empty() && !std::exchange(outcome_.told_report, true)) {
    log_info(fmt::format("report so far: {}", outcome_.report));
  }
}

void LiveReport::finish() {
  task_.settle();
  tell_outcome();
  interval_s_ = 0;
}

}  // namespace borealis
