// What the runs of a point measured.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "sweep/point.h"
#include "telemetry/step_record.h"

namespace borealis {

struct Measurement {
  // Of each repeat the median over the steps behind the warm-up, and of these the median. "gpu" =
  // rank.
  double tokens_per_gpu_per_second = 0;
  double tflops = 0;
  int64_t parameters = 0;
  int64_t num_hidden_layers = 0;
  int64_t planned_bytes = 0;
  int64_t peak_bytes = 0;  // the highest of the repeats
  double wall_time_s = 0;  // of a repeat, its start-up included; their mean
};

// The steps of a run that count; those that were skipped are left out where others remain.
std::vector<StepRecord> steps_behind_warmup(std::span<const StepRecord> all, int64_t warmup_steps);

// A run that went through all its steps. Errors as of read_run_summary.
bool is_finished_run(const std::filesystem::path& run_dir);

// Of at least one finished run. Throws Error(kFile) or Error(kData), which names what is missing or
// broken in a run's folder.
Measurement measure_runs(const std::filesystem::path& sweep_folder,
                         const std::vector<std::string>& runs, int64_t warmup_steps);

}  // namespace borealis
