// A training run as a performance report sees it: what was run, where, and the steps that count.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "report/plot_scale.h"
#include "telemetry/machine.h"
#include "telemetry/run_configuration.h"
#include "telemetry/step_record.h"

namespace borealis {

struct MeasuredRun {
  std::string source;      // folder or file that it was read from
  std::string family;      // "llama3-3B": the model's name without its number of layers
  std::string started_at;  // "2025-08-21-124405"; empty: not known
  std::string state;       // "finished", "cut off", "failed: ..."; one line
  std::string version;     // of the program
  std::string problem;     // what its source lacks of it; often empty
  ModelConfig model;       // its shape
  int64_t parameters = 0;
  int64_t seq_length = 0;
  int64_t micro_batch_size = 1;
  int64_t grad_accum_steps = 1;
  int64_t global_batch_size = 1;
  int64_t world_size = 1;
  int64_t sequence_parallel_size = 1;  // ranks that share each sequence
  int64_t hosts = 1;
  int64_t zero_stage = 0;
  int64_t zero_hpz_partition_size = 1;
  bool grad_reduce_in_bf16 = false;
  bool recompute = false;
  int64_t layers_per_segment = 1;  // that are computed again together
  int64_t threads = 0;             // of a rank; 0: its share of its host's cores
  bool deterministic = true;
  bool profiled = false;
  std::string dtype;
  std::string isa;
  MachineInfo machine;
  double gemm_tflops = 0;  // the machine's rate, measured in the run; NaN: not measured
  std::string gemm_measurement;
  int64_t planned_bytes = 0;
  int64_t peak_bytes = 0;  // 0: not measured
  double time_to_first_step_s = 0;
  std::vector<NamedValue> settings;  // the contract's variables
  std::vector<NamedValue> grid;      // of a sweep's point: its settings, but for model and layers

  double rounding =
      0;  // share by which figures of its steps may be rounded where they were printed
  int64_t warmup_steps = 1;       // first steps of the run that are not in `steps`
  int64_t step_stride = 1;        // of a long run, whose steps are those of a StepSeries
  std::vector<StepRecord> steps;  // without skipped ones where there are others
  std::vector<PlotPoint> loss;    // x: tokens trained on; of the whole run, thinned

  // "AMD EPYC 9B45, 2 cores".
  std::string machine_name() const;
};

// Of a run's folder. Throws Error(kFile) or Error(kData), naming what is missing or broken; a run
// of no more than `warmup_steps` steps is Error(kData).
MeasuredRun read_measured_run(const std::filesystem::path& run_dir, int64_t warmup_steps);

inline constexpr int kLossBuckets = 200;  // that a run's loss is thinned to

// Shape, batch and ranks from a run's config.json. Error(kData) where that is not one; `name`: of
// the file.
void take_run_configuration(const nlohmann::json& config, const std::string& name,
                            MeasuredRun& run);

// "2025-08-21-124405" of "2025-08-21 12:44:05".
std::string stamp_of(const std::string& started_at);

// "llama3-3B" of "llama3-3B-nLayers14".
std::string family_of_model(const std::string& model_name);

}  // namespace borealis
