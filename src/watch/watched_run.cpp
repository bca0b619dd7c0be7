#include "watch/watched_run.h"

#include <algorithm>
#include <cmath>

namespace borealis {

std::string_view run_condition_name(RunCondition state) {
  switch (state) {
    case RunCondition::kStarting:
      return "starting";
    case RunCondition::kRunning:
      return "running";
    case RunCondition::kFinished:
      return "finished";
    case RunCondition::kStopped:
      return "stopped";
    case RunCondition::kFailed:
      return "failed";
    case RunCondition::kKilled:
      return "killed";
    case RunCondition::kSilent:
      return "no_sign_of_life";
    case RunCondition::kGone:
      return "folder_gone";
  }
  return "";
}

RunLife life_of(const RunSummary& summary, std::optional<bool> alive, bool has_steps,
                double silent_s) {
  RunLife life;
  life.silent_s = silent_s;
  if (summary.stopped_by == "train_iters") {
    life.state = RunCondition::kFinished;
  } else if (summary.stopped_by == "error") {
    life.state = RunCondition::kFailed;
    life.reason = summary.failure;
  } else if (!summary.stopped_by.empty()) {
    life.state = RunCondition::kStopped;
    life.reason = summary.stopped_by;
  } else if (alive && !*alive) {
    life.state = RunCondition::kKilled;
  } else if (!alive && silent_s >= kSilentAfterS) {
    life.state = RunCondition::kSilent;
  } else {
    life.state = has_steps ? RunCondition::kRunning : RunCondition::kStarting;
  }
  return life;
}

double stalled_seconds(const RunLife& life, const StepRecord* last_step, double step_age_s) {
  constexpr double kStepsLong = 10;
  if (life.state != RunCondition::kRunning || last_step == nullptr) return 0;
  const double usual_s = std::isfinite(last_step->elapsed_ms) ? 1e-3 * last_step->elapsed_ms : 0;
  return step_age_s > std::max(kSilentAfterS, kStepsLong * usual_s) ? step_age_s : 0;
}

}  // namespace borealis
