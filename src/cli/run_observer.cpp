#include "cli/run_observer.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/terminal.h"

namespace borealis {
namespace {

int log_columns(const OutputConfig& output) {
  const int stream = output.json ? STDERR_FILENO : STDOUT_FILENO;
  return terminal_columns(stream).value_or(kColumnsOfNoTerminal);
}

}  // namespace

RunObserver::RunObserver(const RunConfig& config, const RunHistory& history, RunTracker& tracker)
    : config_(config),
      line_context_{config.limits.train_iters, config.batch.seq_length,
                    config.parallel.zero_stage > 0 && config.dtype == DType::kBF16},
      short_lines_(config.limits.train_iters, log_columns(config.output)),
      metrics_(config.output.run_dir, history),
      tracker_(tracker),
      progress_(progress_on_stderr(config.limits.train_iters, config.output.progress)),
      system_log_(config.output.run_dir) {}

TrainerEvents RunObserver::events() {
  TrainerEvents events;
  events.on_step = [this](const StepRecord& record) { on_step(record); };
  events.on_validation = [this](const ValidationRecord& record) {
    metrics_.write(record);
    tracker_.write(record);
    log(format_validation(record));
  };
  events.on_evaluation = [this](int64_t round, int64_t rounds) {
    if (round % config_.limits.log_interval != 0) return;
    progress_.erase();
    log_info_or_brief(format_evaluation(round, rounds), "");
  };
  events.on_checkpoint = [this](const std::string& folder) {
    log(fmt::format("saved {}", folder));
    metrics_.write_checkpoint(folder);
  };
  return events;
}

void RunObserver::training_begins() { time_to_first_step_s_ = process_age_s(); }

void RunObserver::on_step(const StepRecord& record) {
  ++steps_;
  system_log_.begin();
  metrics_.write(record);
  tracker_.write(record);
  interval_.add(record);
  if (record.skipped) log_skipped(record);
  if (record.iteration % config_.limits.log_interval == 0) log_interval();
  if (const auto line = progress_.log_line()) log_info(*line);
  progress_.update(record);
}

void RunObserver::log_interval() {
  progress_.erase();
  const IterationLine line = interval_.take();
  if (!header_logged_) log_info_or_brief("", short_lines_.header());
  header_logged_ = true;
  log_info_or_brief(format_iteration_line(line, line_context_),
                    short_lines_.line(line, resident_bytes()));
  log_info_or_brief(format_timers(line, config_.limits.timing_log_level), "");
}

void RunObserver::log_skipped(const StepRecord& record) {
  progress_.erase();
  const bool on_purpose =
      record.skip_reason == SkipReason::kRange || record.skip_reason == SkipReason::kForwardOnly;
  if (on_purpose) {
    log_info(format_skipped(record));
  } else {
    log_warning(format_skipped(record));
  }
}

void RunObserver::log(const std::string& text) {
  progress_.erase();
  log_info(text);
}

}  // namespace borealis
