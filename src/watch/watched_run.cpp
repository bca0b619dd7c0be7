#include "watch/watched_run.h"

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

}  // namespace borealis
