// What is known of a run that is watched: all that a view of it is drawn from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "telemetry/step_series.h"
#include "telemetry/system_log.h"

namespace borealis {

enum class RunCondition {
  kStarting,  // it lives and has made no step
  kRunning,
  kFinished,
  kStopped,  // by a signal, a time, a switch file
  kFailed,
  kKilled,  // its process is gone and had no time to say anything
  kSilent,  // of its process nothing is known here, and it has written nothing for a while
  kGone,    // its folder is
};
std::string_view run_condition_name(RunCondition state);  // "no_sign_of_life", as in JSON

struct RunLife {
  RunCondition state = RunCondition::kStarting;
  std::string reason;    // of a run that was stopped ("SIGTERM") or failed (the error)
  double silent_s = 0;   // since its folder's files last changed
  double stalled_s = 0;  // since its last step, where that is long ago by its own pace; else 0
};

// A run whose process cannot be asked for is silent after this, eight samples of system.jsonl.
inline constexpr double kSilentAfterS = 120;

// `alive`: its process, asked for before the summary was read, or a run that ended in between would
// pass for killed; none: not known.
RunLife life_of(const RunSummary& summary, std::optional<bool> alive, bool has_steps,
                double silent_s);

// How long ago the last step of a run that lives was, if that is more than kSilentAfterS and ten
// times what the step took: it may hang, validate or save. 0: it is not.
double stalled_seconds(const RunLife& life, const StepRecord* last_step, double step_age_s);

struct WatchedRun {
  static constexpr size_t kMostSteps = 2000;

  std::filesystem::path folder;
  std::string name;  // among the runs that are watched
  RunLife life;
  RunSummary summary;
  int64_t train_iters = 0;       // 0: not known
  StepSeries steps{kMostSteps};  // a part of them, where they are many
  std::optional<double> seconds_left;
  std::optional<ValidationRecord> validation;  // the last
  std::optional<SystemSample> system;          // the last
  std::string checkpoint;                      // the folder of the last; empty: none
  int64_t unreadable_lines = 0;                // of metrics.jsonl
  std::string problem;                         // why some of its files cannot be read; empty: none

  bool is_going() const {
    return life.state == RunCondition::kStarting || life.state == RunCondition::kRunning ||
           life.state == RunCondition::kSilent;
  }
  bool makes_steps() const {
    return (life.state == RunCondition::kStarting || life.state == RunCondition::kRunning) &&
           life.stalled_s == 0;
  }
  const StepRecord* last_step() const { return steps.last(); }
};

}  // namespace borealis
