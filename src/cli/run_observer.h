// Where the events of a run go: log, metrics, progress, trackers.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.h"
#include "telemetry/iteration_line.h"
#include "telemetry/metrics_file.h"
#include "telemetry/progress.h"
#include "telemetry/run_tracker.h"
#include "telemetry/short_line.h"
#include "telemetry/step_record.h"
#include "telemetry/system_log.h"
#include "train/trainer.h"

namespace borealis {

class RunObserver {
 public:
  // Begins the metrics of the run's folder, with what `history` has for them. `config` and
  // `tracker`, which begins later, must outlive this.
  RunObserver(const RunConfig& config, const RunHistory& history, RunTracker& tracker);

  TrainerEvents events();
  void training_begins();

  int64_t steps() const { return steps_; }  // of this process
  double time_to_first_step_s() const { return time_to_first_step_s_; }
  // Of the steps before those of this process.
  int64_t steps_of_history() const { return metrics_.steps_of_history(); }

 private:
  void on_step(const StepRecord& record);
  void log_interval();
  void log_skipped(const StepRecord& record);
  void log(const std::string& text);

  const RunConfig& config_;
  IterationLineContext line_context_;
  ShortLines short_lines_;
  bool header_logged_ = false;
  IterationInterval interval_;
  MetricsWriter metrics_;
  RunTracker& tracker_;
  Progress progress_;
  SystemLog system_log_;
  int64_t steps_ = 0;
  double time_to_first_step_s_ = 0;
};

}  // namespace borealis
