// The report of a run that goes on.
#pragma once

#include <memory>
#include <string>

#include "base/side_task.h"
#include "base/stopwatch.h"
#include "config/run_config.h"
#include "report/run_report.h"
#include "telemetry/step_series.h"
#include "train/trainer.h"

namespace borealis {

// Writes the run's report every config.output.report_interval_s on a thread of its own, from the
// steps that passed through it: a part of them where they are many, so that a report takes a few
// hundredths of a second and some MiB however long the run is. Nothing of training waits for it;
// while a report is still being written the next one is put off. A failure is told once, as a
// warning.
class LiveReport {
 public:
  static constexpr size_t kMostSteps = 4000;

  // Begins with what the run's folder has of earlier processes. `summary`: what is known of the run
  // before its first step. An interval of 0: no report at all.
  LiveReport(const RunConfig& config, const RunSummary& summary);
  ~LiveReport() { finish(); }
  LiveReport(const LiveReport&) = delete;
  LiveReport& operator=(const LiveReport&) = delete;

  // The same events, which this hears of as well; they must not outlive it.
  TrainerEvents listen(TrainerEvents events);
  // Waits for a report that is being written; there is none after that.
  void finish();

 private:
  void on_step(const StepRecord& record);
  void begin_report();
  void tell_outcome();

  // What the other thread did; read while it is idle.
  struct Outcome {
    std::string report;   // the file; empty: none written yet
    std::string failure;  // of the first that failed
    bool told_report = false;
    bool told_failure = false;
  };

  double interval_s_;
  RunResults results_;  // but for its steps
  StepSeries series_{kMostSteps};
  Stopwatch since_report_;
  Outcome outcome_;
  SideTask task_;  // last: its end is waited for first
};

}  // namespace borealis
