// Runs the points of a sweep, one process a run, and keeps what became of them.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config_loader.h"
#include "sweep/measurement.h"
#include "sweep/sweep_state.h"
#include "sweep/time_left.h"
#include "train/signals.h"

namespace borealis {

struct SweepOptions {
  std::filesystem::path folder;
  std::vector<std::string> flags;  // of all points
  // What starts a run, and waits for it: "srun -n 1"; empty: this process does.
  std::vector<std::string> launcher = {};
  bool try_all = false;  // also behind the first of a family that ran out of memory
};

// The run in progress.
struct RunProgress {
  size_t point = 0;  // of state.points
  int64_t repeat = 1;
  int64_t steps = 0;  // that it has made
};

struct SweepEvents {
  // The plan of a point that is about to run: memory may have been taken or given back.
  std::function<PointPlan(const SweepPoint&)> plan;
  std::function<void(const RunProgress&)> progress;  // a few times a second
  // In the order of the points; also of those that were settled before.
  std::function<void(size_t point, const std::optional<Measurement>&)> point_settled;
};

class SweepRunner {
 public:
  // `state` is of this folder, which the caller holds. Runs whose folders are gone or broken are
  // forgotten, and made again.
  SweepRunner(SweepState& state, SweepOptions options, SweepEvents events);

  // To the end, or until a signal: its name then. Throws Error(kFile) if the state cannot be kept.
  std::string run();
  const SweepClock& clock() const { return clock_; }

 private:
  enum class Outcome { kSettled, kInterrupted };
  Outcome run_point(size_t index, const SignalWatch& watch);
  Outcome run_repeat(size_t index, int64_t repeat, const SignalWatch& watch);
  void take_end(SweepPoint& point, const std::string& run, int exit_code, int signal);
  void settle(size_t index);
  void fail(SweepPoint& point, const std::string& reason, int exit_code);
  std::filesystem::path stderr_path(const std::string& run) const;

  SweepState& state_;
  SweepOptions options_;
  SweepEvents events_;
  SweepClock clock_;
};

// The line of a process's standard error that says why it ended: "borealis: ...", else Slurm's
// "*** STEP ... CANCELLED ...", else its last one; empty if it wrote none.
std::string failure_line(const std::string& stderr_text);

// Where the sample indices of all points are kept.
std::string shared_cache_path(const std::filesystem::path& folder);

}  // namespace borealis
