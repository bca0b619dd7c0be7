#include "publish/measured_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "config/recorded_config.h"
#include "report/run_report.h"
#include "sweep/measurement.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

std::string state_of(const RunResults& results) {
  const RunSummary& summary = results.summary;
  if (summary.stopped_by == "error") return "failed: " + summary.failure;
  if (summary.stopped_by == "train_iters") return "finished";
  if (!summary.stopped_by.empty()) return "stopped by " + summary.stopped_by;
  return results.is_running ? "still running" : "cut off";
}

}  // namespace

std::string MeasuredRun::machine_name() const {
  if (machine.cpu_model.empty()) return machine.hostname.empty() ? "unknown" : machine.hostname;
  if (machine.cores < 1) return machine.cpu_model;
  return fmt::format("{}, {} core{}", machine.cpu_model, machine.cores,
                     machine.cores == 1 ? "" : "s");
}

std::string stamp_of(const std::string& started_at) {
  std::string stamp;
  for (const char c : started_at) {
    if (c == ':') continue;
    stamp += c == ' ' ? '-' : c;
  }
  return stamp;
}

void take_run_configuration(const Json& json, const std::string& name, MeasuredRun& run) {
  const RunConfig config = parse_recorded_config(json, name);
  run.model = config.model;
  run.seq_length = config.batch.seq_length;
  run.micro_batch_size = config.batch.micro_batch_size;
  run.grad_accum_steps = config.batch.grad_accum_steps;
  run.global_batch_size = config.batch.global_batch_size;
  run.world_size = config.parallel.world_size;
  run.sequence_parallel_size = config.parallel.sequence_parallel_size;
  run.hosts = config.parallel.hosts;
  run.zero_stage = config.parallel.zero_stage;
  run.zero_hpz_partition_size = config.parallel.zero_hpz_partition_size;
  run.grad_reduce_in_bf16 = config.parallel.grad_reduce_in_bf16;
  run.recompute = config.recompute.enabled;
  run.layers_per_segment = run.recompute ? config.recompute.layers_per_segment : 1;
  run.threads = config.machine.threads;
  run.deterministic = config.machine.deterministic;
  run.profiled = config.profile.enabled;
}

std::string family_of_model(const std::string& model_name) {
  const std::string family = model_name.substr(0, model_name.rfind("-nLayers"));
  return family.empty() ? "custom" : family;
}

MeasuredRun read_measured_run(const std::filesystem::path& run_dir, int64_t warmup_steps) {
  const RunResults results = read_run_results(run_dir);
  const RunSummary& summary = results.summary;
  MeasuredRun run;
  run.source = run_dir.string();
  const std::filesystem::path config = run_dir / "config.json";
  take_run_configuration(Json::parse(read_json_text(config), nullptr, /*allow_exceptions=*/false),
                         config.string(), run);
  run.family = family_of_model(summary.model_name);
  run.started_at = stamp_of(summary.started_at);
  run.state = state_of(results);
  run.version = summary.version;
  run.problem = missing_steps_text(summary, results.recorded_steps);
  run.parameters = summary.parameters;
  run.dtype = summary.dtype;
  run.isa = summary.isa;
  run.machine = summary.machine;
  run.gemm_tflops = summary.gemm_tflops;
  run.gemm_measurement = summary.gemm_measurement;
  run.planned_bytes = summary.planned_memory_bytes;
  run.peak_bytes = summary.peak_memory_bytes;
  run.time_to_first_step_s = summary.time_to_first_step_s;
  run.settings = summary.configuration;
  run.warmup_steps = std::max(warmup_steps, summary.resumed_at_iteration + warmup_steps);
  run.step_stride = results.step_stride;
  run.steps = steps_behind_warmup(results.steps, run.warmup_steps);
  if (run.steps.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} has no step behind the first {}, which do not count",
                            run_dir.string(), run.warmup_steps),
                "leave the run out, or give a smaller --warmup");
  }
  std::vector<PlotPoint> loss;
  for (const StepRecord& step : results.steps) {
    if (!step.skipped) loss.push_back({static_cast<double>(step.consumed_tokens), step.lm_loss});
  }
  run.loss = thin_points(loss, kLossBuckets);
  return run;
}

}  // namespace borealis
