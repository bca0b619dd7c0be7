#include "sweep/measurement.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/median.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"

namespace borealis {
namespace {

double median_of(const std::vector<StepRecord>& steps, double StepRecord::*value) {
  std::vector<double> values;
  for (const StepRecord& step : steps) values.push_back(step.*value);
  return finite_median(std::move(values));
}

}  // namespace

std::vector<StepRecord> steps_behind_warmup(std::span<const StepRecord> all, int64_t warmup_steps) {
  std::vector<StepRecord> steps;
  for (const StepRecord& step : all) {
    if (step.iteration > warmup_steps) steps.push_back(step);
  }
  if (std::ranges::any_of(steps, [](const StepRecord& step) { return !step.skipped; })) {
    std::erase_if(steps, [](const StepRecord& step) { return step.skipped; });
  }
  return steps;
}

bool is_finished_run(const std::filesystem::path& run_dir) {
  return read_run_summary(run_dir).stopped_by == "train_iters";
}

Measurement measure_runs(const std::filesystem::path& sweep_folder,
                         const std::vector<std::string>& runs, int64_t warmup_steps) {
  Measurement measured;
  std::vector<double> rates, tflops;
  for (const std::string& run : runs) {
    const std::filesystem::path run_dir = sweep_folder / run;
    const RunSummary summary = read_run_summary(run_dir);
    measured.parameters = summary.parameters;
    measured.num_hidden_layers = summary.num_hidden_layers;
    measured.planned_bytes = summary.planned_memory_bytes;
    measured.peak_bytes = std::max(measured.peak_bytes, summary.peak_memory_bytes);
    measured.wall_time_s += summary.wall_time_s / static_cast<double>(runs.size());
    const std::vector<StepRecord> steps =
        steps_behind_warmup(read_metrics(run_dir).steps(), warmup_steps);
    rates.push_back(median_of(steps, &StepRecord::tokens_per_gpu_per_second));
    tflops.push_back(median_of(steps, &StepRecord::tflops));
  }
  measured.tokens_per_gpu_per_second = finite_median(std::move(rates));
  measured.tflops = finite_median(std::move(tflops));
  return measured;
}

}  // namespace borealis
