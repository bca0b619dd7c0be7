// An offline run of Weights & Biases: <parent>/offline-run-<local time>-<id>/run-<id>.wandb, which
// `wandb sync` sends, in the order that its uploader expects. Nothing here opens a connection.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/run_config.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "telemetry/system_stats.h"
#include "telemetry/tracked_metrics.h"
#include "telemetry/wandb_log.h"
#include "telemetry/wandb_records.h"

namespace borealis {

// In the run's folder: {"run_id", "display_name", "project", "folder"} of its Weights & Biases run,
// so that a run that goes on has the same id.
inline constexpr const char* kWandbRunFileName = "wandb_run.json";

// What a run of this configuration is called there. `begun`: its summary before the first step.
WandbRunDescription describe_wandb_run(const RunConfig& config, const RunSummary& begun,
                                       const RunHistory& history, WandbTime now);

// Not for several threads at a time. Every record reaches the kernel as it is written.
class WandbRun {
 public:
  // Makes the folder, under a name that nothing has. Throws Error(kFile), here and below.
  WandbRun(const RunConfig& config, const RunSummary& begun, const RunHistory& history);

  // A row of the history, whose _step is the iteration. The validation before it is part of it:
  // rows of a run have different steps.
  void write(const StepRecord& step);
  void write(const ValidationRecord& record);
  void write_console(WandbTime time, std::string_view line);
  // The last values of all metrics, for the table of runs, and a sample of the machine's use.
  void write_stats();
  // What the run came to; no record follows.
  void end(const RunSummary& summary, int exit_code);

  const std::filesystem::path& folder() const { return folder_; }

 private:
  WandbRun(const RunConfig& config, WandbRunDescription description, const RunSummary& begun);
  void put(const WandbRecord& record);
  void put_row(int64_t step, std::vector<TrackedMetric> metrics);
  void put_summary();
  double runtime_s() const;

  WandbTime start_time_;
  std::filesystem::path folder_;
  std::unique_ptr<WandbLog> log_;
  WandbStream console_;
  MetricContext context_;
  SystemStats stats_;
  int64_t records_ = 0;
  int64_t last_step_ = 0;
  std::vector<TrackedMetric> of_validation_;    // not written yet
  std::map<std::string, std::string> summary_;  // JSON texts
};

}  // namespace borealis
