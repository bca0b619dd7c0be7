#include "publish/measured_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "report/run_report.h"
#include "sweep/measurement.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

void take_shape(const Json& json, ModelConfig& model) {
  model.name = json.at("name");
  model.num_hidden_layers = json.at("num_hidden_layers");
  model.hidden_size = json.at("hidden_size");
  model.num_attention_heads = json.at("num_attention_heads");
  model.num_key_value_heads = json.at("num_key_value_heads");
  model.head_dim = json.at("head_dim");
  model.intermediate_size = json.at("intermediate_size");
  model.vocab_size = json.at("vocab_size");
  model.tie_word_embeddings = json.at("tie_word_embeddings");
  require_shape(model);
}

void take_configuration(const Json& json, MeasuredRun& run) {
  take_shape(json.at("model"), run.model);
  const Json &batch = json.at("batch"), &parallel = json.at("parallel");
  run.seq_length = batch.at("seq_length");
  run.micro_batch_size = batch.at("micro_batch_size");
  run.grad_accum_steps = batch.at("grad_accum_steps");
  run.global_batch_size = batch.at("global_batch_size");
  run.world_size = parallel.at("world_size");
  run.hosts = parallel.value("hosts", int64_t{1});
  run.zero_stage = parallel.at("zero_stage");
  run.recompute = json.at("recompute").at("enabled");
}

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

// A run's configuration is ours, so what is wrong with it is damage.
void take_run_configuration(const Json& config, const std::string& name, MeasuredRun& run) {
  std::string wrong;
  try {
    take_configuration(config, run);
    return;
  } catch (const Json::exception& fault) {
    wrong = fault_text(fault);
  } catch (const Error& fault) {
    wrong = fault_text(fault);
  }
  throw Error(ErrorKind::kData,
              fmt::format("{} is not the configuration of a run ({})", name, wrong),
              "restore the file, or leave the run out");
}

std::string family_of_model(const std::string& model_name) {
  const std::string family = model_name.substr(0, model_name.rfind("-nLayers"));
  return family.empty() ? "custom" : family;
}

void require_shape(const ModelConfig& model) {
  constexpr int64_t kMost = int64_t{1} << 24;  // so that products stay in 63 bits
  const std::pair<const char*, int64_t> sizes[] = {
      {"num_hidden_layers", model.num_hidden_layers},
      {"hidden_size", model.hidden_size},
      {"num_attention_heads", model.num_attention_heads},
      {"num_key_value_heads", model.num_key_value_heads},
      {"head_dim", model.head_dim},
      {"intermediate_size", model.intermediate_size},
      {"vocab_size", model.vocab_size}};
  for (const auto& [name, size] : sizes) {
    if (size >= 1 && size <= kMost) continue;
    throw Error(ErrorKind::kData, fmt::format("a model with {} {} has no shape: sizes are 1 to {}",
                                              name, size, kMost));
  }
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
