#include "sweep/sweep_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/printable.h"
#include "base/stopwatch.h"
#include "sweep/child_process.h"
#include "sweep/families.h"
#include "sweep/point_command.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr int kTickMs = 200;
constexpr double kStepsEveryMs = 1000;

// The ranks of a run whose sweep was killed live on for moments.
void wait_for_writer(const fs::path& run_dir) {
  constexpr std::chrono::milliseconds kPause(100);
  constexpr int kPauses = 300;
  for (int i = 0; fs::exists(run_dir) && FolderLock::is_held(run_dir); ++i) {
    if (i == kPauses) {
      throw Error(ErrorKind::kFile, fmt::format("another run is writing to {}", run_dir.string()),
                  "end it, or wait for it");
    }
    std::this_thread::sleep_for(kPause);
  }
}

int64_t steps_made(const fs::path& run_dir) {
  try {
    return read_metrics(run_dir).count();
  } catch (const Error&) {
    return 0;  // it has not begun, or is writing the first line
  }
}

bool is_there(const fs::path& run_dir) {
  try {
    return is_finished_run(run_dir) && steps_made(run_dir) > 0;
  } catch (const Error&) {
    return false;
  }
}

// The user removed them, to have them made again.
void forget_lost_runs(const fs::path& folder, int64_t repeats, SweepPoint& point) {
  std::erase_if(point.runs, [&](const std::string& run) { return !is_there(folder / run); });
  const bool lost_done =
      point.state == PointState::kDone && std::cmp_less(point.runs.size(), repeats);
  const bool lost_killed =
      point.state == PointState::kKilled && !fs::exists(folder / "points" / point.name);
  if (!lost_done && !lost_killed) return;
  point.state = PointState::kPending;
  point.reason.clear();
}

}  // namespace

std::string failure_line(const std::string& stderr_text) {
  std::string last, failure;
  for (size_t at = 0; at < stderr_text.size();) {
    const size_t end = std::min(stderr_text.find('\n', at), stderr_text.size());
    const std::string line = stderr_text.substr(at, end - at);
    if (!line.empty()) last = line;
    const bool is_slurms = line.find("*** ") != std::string::npos;  // "STEP 1.0 ... CANCELLED"
    if (line.starts_with("borealis: ") || (is_slurms && failure.empty())) failure = line;
    at = end + 1;
  }
  return printable(failure.empty() ? last : failure);
}

std::string shared_cache_path(const fs::path& folder) { return (folder / "index-cache").string(); }

SweepRunner::SweepRunner(SweepState& state, SweepOptions options, SweepEvents events)
    : state_(state), options_(std::move(options)), events_(std::move(events)), clock_(state.steps) {
  for (SweepPoint& point : state_.points) {
    if (!point.in_grid) continue;
    forget_lost_runs(options_.folder, state_.repeats, point);
    for (const std::string& run : point.runs) {
      clock_.add_run(point, read_run_summary(options_.folder / run).wall_time_s);
    }
  }
}

std::string SweepRunner::run() {
  const SignalWatch watch;
  write_sweep_state(options_.folder, state_);
  for (size_t i = 0; i < state_.points.size(); ++i) {
    SweepPoint& point = state_.points[i];
    if (!point.in_grid) continue;
    if (is_settled(point)) {
      settle(i);
      continue;
    }
    const SweepPoint* smaller = out_of_memory_before(state_.points, i);
    if (smaller != nullptr && !options_.try_all) {
      point.state = PointState::kBeyondMemory;
      point.reason = fmt::format("not tried: {} ran out of memory", smaller->name);
    } else if (run_point(i, watch) == Outcome::kInterrupted) {
      write_sweep_state(options_.folder, state_);
      return watch.received();
    }
    write_sweep_state(options_.folder, state_);
    settle(i);
  }
  return "";
}

SweepRunner::Outcome SweepRunner::run_point(size_t index, const SignalWatch& watch) {
  SweepPoint& point = state_.points[index];
  point.plan = events_.plan(point);
  for (int64_t repeat = 1; repeat <= state_.repeats; ++repeat) {
    const std::string run = run_folder_name(point, repeat);
    if (std::ranges::find(point.runs, run) != point.runs.end()) continue;
    if (run_repeat(index, repeat, watch) == Outcome::kInterrupted) return Outcome::kInterrupted;
    if (point.state != PointState::kPending) return Outcome::kSettled;
    write_sweep_state(options_.folder, state_);
  }
  point.state = PointState::kDone;
  point.reason.clear();
  return Outcome::kSettled;
}

SweepRunner::Outcome SweepRunner::run_repeat(size_t index, int64_t repeat,
                                             const SignalWatch& watch) {
  if (watch.received() != nullptr) return Outcome::kInterrupted;
  SweepPoint& point = state_.points[index];
  const std::string run = run_folder_name(point, repeat);
  const fs::path run_dir = options_.folder / run;
  wait_for_writer(run_dir);
  fs::remove_all(run_dir);  // what a run that was cut off, or had another key, left
  borealis::create_directories(run_dir.parent_path());
  ChildCommand command;
  command.launcher = options_.launcher;
  command.arguments = point_flags(options_.flags, state_.steps);
  command.arguments.insert(command.arguments.begin(), "train");
  // The user's launcher starts the ranks itself.
  if (options_.launcher.empty()) command.arguments.insert(command.arguments.begin(), "launch");
  command.arguments.insert(command.arguments.end(), {"--run-dir", run_dir.string()});
  command.environment =
      point_environment(point.settings, process_environment(), shared_cache_path(options_.folder));
  command.stderr_path = stderr_path(run);
  ChildProcess child(command);
  RunProgress progress{.point = index, .repeat = repeat, .steps = 0};
  Stopwatch since_steps;
  std::optional<ChildEnd> end;
  while (!(end = child.wait(kTickMs)) && watch.received() == nullptr) {
    if (since_steps.elapsed_ms() >= kStepsEveryMs) {
      progress.steps = steps_made(run_dir);
      since_steps = Stopwatch();
    }
    events_.progress(progress);
  }
  // A signal of the terminal reaches both: an end that it caused says nothing of the point.
  if (!end || (watch.received() != nullptr && end->exit_code != 0)) return Outcome::kInterrupted;
  take_end(point, run, end->exit_code, end->signal);
  return Outcome::kSettled;
}

void SweepRunner::take_end(SweepPoint& point, const std::string& run, int exit_code, int signal) {
  const fs::path run_dir = options_.folder / run;
  const std::string line = failure_line(read_text_file(stderr_path(run)));
  // A launcher ends as a shell does after what it started.
  const bool is_killed = signal == SIGKILL || exit_code == 128 + SIGKILL;
  if (is_killed) {
    point.state = PointState::kKilled;
    point.reason = fmt::format(
        "killed by SIGKILL after {} of {} steps: out of memory, unless somebody ended it",
        steps_made(run_dir), state_.steps);
  } else if (exit_code == error_exit_code(ErrorKind::kMemory) && !line.empty()) {
    // A plan refuses before there is a folder.
    point.state = fs::exists(run_dir) ? PointState::kOutOfMemory : PointState::kDoesNotFit;
    point.reason = line;
  } else if (signal != 0) {
    fail(point,
         fmt::format("ended by signal {} ({}){}", signal, ::strsignal(signal),
                     line.empty() ? "" : ": " + line),
         exit_code);
  } else if (exit_code == 127 && !options_.launcher.empty() && line.empty()) {
    fail(point, fmt::format("{} cannot be run (--launch)", options_.launcher.front()), exit_code);
  } else if (exit_code != 0) {
    fail(point, line.empty() ? fmt::format("ended with exit code {}", exit_code) : line, exit_code);
  } else if (!is_there(run_dir)) {
    fail(point, fmt::format("ended after {} of {} steps", steps_made(run_dir), state_.steps), 1);
  } else {
    if (line.empty()) fs::remove(stderr_path(run));
    point.runs.push_back(run);
    clock_.add_run(point, read_run_summary(run_dir).wall_time_s);
  }
}

void SweepRunner::fail(SweepPoint& point, const std::string& reason, int exit_code) {
  point.state = PointState::kFailed;
  point.reason = reason;
  point.exit_code = exit_code;
}

void SweepRunner::settle(size_t index) {
  const SweepPoint& point = state_.points[index];
  std::optional<Measurement> measured;
  if (point.state == PointState::kDone) {
    measured = measure_runs(options_.folder, point.runs, state_.warmup_steps);
  }
  events_.point_settled(index, measured);
}

fs::path SweepRunner::stderr_path(const std::string& run) const {
  return options_.folder / (run + ".stderr");
}

}  // namespace borealis
