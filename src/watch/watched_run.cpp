#include "watch/watched_run.h"

#include <algorithm>
#include <cmath>

namespace borealis {

std::string_view run_state_name(RunState state) {
  switch (state) {
    case RunState::kStarting:
      return "starting";
    case RunState::kRunning:
      return "running";
    case RunState::kFinished:
      return "finished";
    case RunState::kStopped:
      return "stopped";
    case RunState::kFailed:
      return "failed";
    case RunState::kKilled:
      return "killed";
    case RunState::kSilent:
      return "no_sign_of_life";
    case RunState::kGone:
      return "folder_gone";
  }
  return "";
}

RunLife life_of(const RunSummary& summary, std::optional<bool> alive, bool has_steps,
                double silent_s) {
  RunLife life;
  life.silent_s = silent_s;
  if (summary.stopped_by == "train_iters") {
    life.state = RunState::kFinished;
  } else if (summary.stopped_by == "error") {
    life.state = RunState::kFailed;
    life.reason = summary.failure;
  } else if (!summary.stopped_by.empty()) {
    life.state = RunState::kStopped;
    life.reason = summary.stopped_by;
  } else if (alive && !*alive) {
    life.state = RunState::kKilled;
  } else if (!alive && silent_s >= kSilentAfterS) {
    life.state = RunState::kSilent;
  } else {
    life.state = has_steps ? RunState::kRunning : RunState::kStarting;
  }
  return life;
}

double stalled_seconds(const RunLife& life, const StepRecord* last_step, double step_age_s) {
  constexpr double kStepsLong = 10;
  if (life.state != RunState::kRunning || last_step == nullptr) return 0;
  const double usual_s = std::isfinite(last_step->elapsed_ms) ? 1e-3 * last_step->elapsed_ms : 0;
  return step_age_s > std::max(kSilentAfterS, kStepsLong * usual_s) ? step_age_s : 0;
}

}  // namespace borealis
