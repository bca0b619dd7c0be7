// A machine as its file describes it (machines/*.json, docs/planner.md): what a rank has of memory,
// how ranks are joined, and the constants of step_time.h for one stack and one element type.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "kernels/gpu_needs.h"
#include "planner/communication.h"
#include "planner/step_time.h"

namespace borealis {

// A measured step and what the fitted constants say of it.
struct CalibrationRow {
  std::string name;
  double measured_s = 0;
  double fitted_s = 0;
  double left_out_s = 0;  // by constants fitted to the other rows
  double residual() const { return fitted_s / measured_s - 1; }
  double left_out_error() const { return left_out_s / measured_s - 1; }
};

struct CalibrationErrors {
  double largest_residual = 0;  // absolute values, relative to what was measured
  double largest_left_out = 0;
  double rms_left_out = 0;
};

using StepMatrix = std::array<StepVector, kStepTerms>;

struct MachineCalibration {
  std::string source;          // what it was fitted to
  std::vector<int64_t> hosts;  // of the rows
  std::vector<int64_t> ranks_per_host;
  StepVector seconds{};     // a unit of each term; 0: the rows show no time for it
  double noise = 0;         // relative standard deviation of a row
  StepMatrix covariance{};  // of seconds / assumed seconds
  std::vector<CalibrationRow> rows;

  CalibrationErrors errors() const;
};

struct MachineModel {
  std::string name;
  std::string description;
  std::string provenance;  // where the numbers that nobody fitted come from
  TrainingStack stack = TrainingStack::kBorealis;
  DType dtype = DType::kBF16;
  int64_t memory_bytes = 0;         // of a rank
  int64_t reserve_bytes = 0;        // what context, libraries and fragmentation take of it
  int64_t gpu_multiprocessors = 0;  // 0: not a GPU that CUDA or its like computes on
  int64_t ranks_per_host = 1;
  // Of a host whose ranks share them and its memory (CPUs): constants and memory_bytes are those of
  // one of ranks_per_host ranks, and of r ranks each has ranks_per_host / r of them. 0: every rank
  // has a device of its own.
  int64_t cores_per_host = 0;
  Links links;
  // What is assumed where nothing was measured, and where calibration starts: seconds a unit, and
  // how far off they may be (relative standard deviations).
  StepVector assumed{};
  StepVector assumed_deviation = {0.5, 0.5, 0.5, 1, 1};
  std::optional<MachineCalibration> calibration;

  std::optional<GpuProfile> gpu() const;  // of what plans for a run on one ask
  // Of what a rank has by the machine's file, what it has as one of so many of its host.
  double rank_share(int64_t ranks_on_host) const;
  int64_t rank_memory_bytes(int64_t ranks_on_host) const;
  int64_t rank_reserve_bytes(int64_t ranks_on_host) const;
  const StepVector& seconds() const { return calibration ? calibration->seconds : assumed; }
};

struct StepEstimate {
  double seconds = 0;
  double communication_s = 0;
  double deviation = 0;      // relative standard deviation of `seconds`
  bool calibrated = false;   // measurements stand behind the constants,
  bool known_hosts = false;  // and behind communication: one rank, or hosts that were measured
};

// The shape's work in units of the machine's constants: what a rank with less than the file's share
// of the host does is as much more.
StepVector machine_units(const MachineModel& machine, const StepShape& shape);
// Of these units, by `seconds` a unit, the time of the forward and backward passes.
double passes_seconds(const StepVector& units, const StepVector& seconds);

// The deviation is that of the constants (after calibration: their posterior covariance, and the
// noise of a row, or what rows predict of one another if that is more); for numbers of hosts that
// were not measured half of the communication besides.
StepEstimate estimate_step(const MachineModel& machine, const StepShape& shape);

std::string machine_json(const MachineModel& machine);
// Throws Error(kData) that names the file and the key.
MachineModel parse_machine(const std::string& text, const std::string& file);

// `name`: a file's path, or the name of a file of `home`/machines or machines/ without its ".json".
// Throws Error(kConfig) with the names that there are, Error(kFile), Error(kData).
MachineModel find_machine(const std::string& name, const std::string& home);

}  // namespace borealis
