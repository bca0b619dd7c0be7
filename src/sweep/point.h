// A point of a sweep: one configuration, and what became of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/run_config.h"
#include "sweep/grid.h"

namespace borealis {

enum class PointState {
  kPending,
  kDone,
  kDoesNotFit,    // the plan refused it
  kOutOfMemory,   // it began, and an allocation failed: a GPU's, or one beyond a limit
  kKilled,        // its process died by SIGKILL, as of one that the system's memory ends for
  kFailed,        // anything else
  kBeyondMemory,  // not tried: a smaller one of its family ran out of memory
};
std::string_view point_state_name(PointState state);  // "does_not_fit", as in sweep.json

// What a measurement depends on. One with another key is made again.
struct PointKey {
  std::string version;        // of the program, with its commit
  std::string machine;        // its description, on one line
  std::string configuration;  // checksum of the resolved configuration
  bool operator==(const PointKey&) const = default;
};
// Of this machine. Where a run's files lie, and what it logs, is not in it. gpu: that computes, or
// empty.
PointKey make_point_key(const std::string& version, const RunConfig& config,
                        const std::string& gpu);

// What the plan says of it.
struct PointPlan {
  std::string gpu;  // that it is for, or empty
  int64_t num_hidden_layers = 0;
  int64_t parameters = 0;
  int64_t tokens_per_step = 0;
  double flops_per_token = 0;
  int64_t planned_bytes = 0;
  int64_t limit_bytes = 0;
  bool fits = true;
  double flops_per_step() const { return flops_per_token * static_cast<double>(tokens_per_step); }
};

struct SweepPoint {
  std::string name;
  PointSettings settings;
  PointKey key;
  PointPlan plan;  // in sweep.json its two numbers of bytes
  PointState state = PointState::kPending;
  std::string reason;  // one line; empty when done
  std::vector<std::string>
      runs;             // finished run folders, from the sweep's folder: "points/<name>/1"
  bool in_grid = true;  // false: of an earlier command on the same folder
  int exit_code = 0;    // of a failed one's process
};

// "3.00 GiB planned of 2.00 GiB". refused: by the plan, which leaves a part of the limit free, so
// that less than the limit may be too much.
std::string planned_of_limit(int64_t planned_bytes, int64_t limit_bytes, bool refused);

// "points/<name>/<repeat>", repeats from 1.
std::string run_folder_name(const SweepPoint& point, int64_t repeat);

}  // namespace borealis
