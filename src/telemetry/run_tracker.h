// The records of a run for TensorBoard (tensorboard.h) and Weights & Biases (wandb_run.h). Tracking
// never stops a run: what one of them cannot write, a full disk in its folder, say, is one warning
// in the log and its end, while the other and the run go on.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/log.h"
#include "config/run_config.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "telemetry/step_record.h"
#include "telemetry/tensorboard.h"
#include "telemetry/wandb_run.h"

namespace borealis {

class RunTracker {
 public:
  // Keeps the lines of the log from now on, for the run's console; it must be open.
  explicit RunTracker(const RunConfig& config);
  ~RunTracker();
  RunTracker(const RunTracker&) = delete;
  RunTracker& operator=(const RunTracker&) = delete;

  // Makes the files in config.output.run_dir, or where the configuration says; that folder has the
  // metrics of `history` already. `begun`: the run's summary before its first step.
  void begin(const RunConfig& config, const RunSummary& begun, const RunHistory& history);

  void write(const StepRecord& step);
  void write(const ValidationRecord& record);
  // What the run came to. Nothing is written after it.
  void end(const RunSummary& summary, int exit_code);

 private:
  struct ConsoleLine {
    WandbTime time;
    std::string text;
  };

  void on_line(std::string_view line);
  void watch_system();
  template <typename Record>
  void write_to_both(const Record& record);
  // Calls `write` for the tracker, if there is one; its failure is kept for warn(), its end.
  template <typename Tracker, typename Write>
  void attempt(const char* name, std::unique_ptr<Tracker>& tracker, Write write);
  void warn();  // not under the lock: the log calls on_line()

  std::mutex mutex_;  // guards what follows it; the log and watch_system() come from other threads
  std::unique_ptr<TensorBoard> tensorboard_;
  std::unique_ptr<WandbRun> wandb_;
  std::deque<ConsoleLine> early_lines_;  // until there is a run to write them to
  bool keeps_lines_ = false;
  std::string failure_;
  bool ended_ = false;
  std::condition_variable ends_;

  std::unique_ptr<LogListener> listener_;
  std::thread system_watch_;
};

}  // namespace borealis
