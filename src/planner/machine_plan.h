// What models come to on a machine that one need not have: rates, memory, and what a number of
// tokens costs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "planner/machine_model.h"
#include "telemetry/run_summary.h"

namespace borealis {

// One model on one number of hosts.
struct MachinePoint {
  std::string model;
  std::string settings = {};  // that a grid varies besides: "ZERO_STAGE=3"
  int64_t num_hidden_layers = 0;
  int64_t parameters = 0;
  int64_t hosts = 1;
  int64_t ranks = 1;
  int64_t global_batch_size = 1;
  double step_s = 0;
  double deviation = 0;        // relative, one standard deviation, of step_s and what follows
  double communication_s = 0;  // of step_s
  double tokens_per_gpu_per_second = 0;  // "gpu" = rank
  double tflops = 0;                     // LM formula, per rank
  std::vector<MemoryClass> memory;       // of a rank
  int64_t total_bytes = 0;
  int64_t memory_bytes =
      0;                    // that the rank may use: the machine's, or MEMORY_LIMIT if that is less
  bool is_limited = false;  // it is MEMORY_LIMIT
  bool fits = false;
  // That fit, all else being the same; none: memory does not end within kMaxLayers.
  std::optional<int64_t> most_layers = 0;
  // Of a number of tokens, where one was given.
  std::optional<double> train_s;
  std::optional<double> node_hours;
  // "calibrated", "uncalibrated", or "links uncalibrated": constants of measured steps, but of
  // another number of hosts or ranks.
  std::string standing;
};

// config: of a run on hosts x ranks_per_host ranks. threads: of a rank of our own program where the
// machine does not say how many cores its ranks share.
// Throws Error(kConfig) where the machine is of another DTYPE or DEVICE.
MachinePoint plan_point(const RunConfig& config, const MachineModel& machine, int64_t hosts,
                        int64_t ranks_per_host, std::optional<double> tokens, int threads);

// "H100: 79.2 GiB a rank, 8 ranks a host, stack borealis, bf16" and on what it was calibrated, with
// its errors; where it was not, the word "uncalibrated" and where the numbers come from.
std::vector<std::string> machine_lines(const MachineModel& machine);

// A cell a column, the header first: rates with two standard deviations; "-" for what does not fit.
// What each point keeps of the rate on the fewest hosts stands in the last column if there are
// several numbers of hosts.
std::vector<std::vector<std::string>> point_table(const std::vector<MachinePoint>& points);
// "llama3-3B: memory ends behind 14 layers on 24 ranks": a line a model and number of hosts.
std::vector<std::string> memory_end_lines(const std::vector<MachinePoint>& points);

std::string machine_plan_json(const MachineModel& machine, const std::vector<MachinePoint>& points);

// Of a calibration: its rows (measured, fitted, error, error if left out; a header first), and its
// constants, a line each.
std::vector<std::vector<std::string>> residual_table(const MachineCalibration& calibration);
std::vector<std::string> constant_lines(const MachineModel& machine);

}  // namespace borealis
