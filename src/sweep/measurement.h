// What the runs of a point measured.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sweep/point.h"

namespace borealis {

struct Measurement {
  // Medians over the steps behind the warm-up of all repeats; steps that were skipped are left out
  // where others remain. "gpu" = rank.
  double tokens_per_gpu_per_second = 0;
  double tflops = 0;
  int64_t parameters = 0;
  int64_t num_hidden_layers = 0;
  int64_t planned_bytes = 0;
  int64_t peak_bytes = 0;  // the highest of the repeats
  double wall_time_s = 0;  // of a repeat, its start-up included; their mean
};

// A run that went through all its steps. Errors as of read_run_summary.
bool is_finished_run(const std::filesystem::path& run_dir);

// Of at least one finished run. Throws Error(kFile) or Error(kData), which names what is missing or
// broken in a run's folder.
Measurement measure_runs(const std::filesystem::path& sweep_folder,
                         const std::vector<std::string>& runs, int64_t warmup_steps);

}  // namespace borealis
