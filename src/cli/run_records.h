// What a run leaves behind besides its metrics and checkpoints: its configuration, log, summary,
// report and trackers. They are rank 0's business.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "cli/planned_run.h"
#include "cli/run_folder.h"
#include "cli/run_observer.h"
#include "cli/sample_text.h"
#include "cli/summary_writer.h"
#include "data/data_record_check.h"
#include "kernels/gemm_rate.h"
#include "telemetry/run_summary.h"
#include "telemetry/run_tracker.h"
#include "train/run_start.h"
#include "train/trainer.h"

namespace borealis {

// What this process has done and measured; of a run that failed, as far as it came.
struct TrainedModel {
  TrainingOutcome outcome;
  GemmRate gemm;  // measured after the first step
  std::string accelerator;
  double bytes_per_s = 0;  // of memory, for a profile
  int64_t peak_bytes = 0;
  std::optional<SampleText> sample;
};

class RunRecords {
 public:
  // command: that gives this run again. host_cores: of all ranks of this host.
  RunRecords(std::string command, int64_t host_cores);

  // Before the trainer of this try to start is made; the first one takes the run's folders, whose
  // names go to `config`.
  void begin(PlannedRun& run, RunConfig& config, const StartChooser& starts,
             const DataTokenizers& data_tokenizers);
  void begin_tracking(const RunConfig& config, const RunHistory& history);

  // The summary of a run that has ended as it should. They throw Error(kFile).
  void end_without_step(const std::string& stopped_by);
  void end(const RunObserver& observer, const TrainedModel& trained);
  // Whatever ended it is told in the folder and to the trackers; a report is made where the run has
  // a step. What cannot be told, for the same disk maybe, is a warning: it does not hide the
  // failure. observer: null where there was none yet.
  void fail(const std::exception& failure, const RunObserver* observer,
            const TrainedModel& trained) noexcept;

  // Before the first step, and completed by end().
  RunSummary& summary() { return summary_; }
  RunTracker& tracker() { return *tracker_; }

 private:
  std::string command_;
  int64_t host_cores_;
  std::string run_dir_;
  std::optional<RunFolders> folders_;
  std::optional<RunTracker> tracker_;
  RunSummary summary_;
  std::optional<SummaryWriter> writer_;
  bool has_ended_ = false;  // and the folder has the summary of it
};

}  // namespace borealis
