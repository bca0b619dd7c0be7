#include "telemetry/run_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/date_time.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/median.h"
#include "base/not_a_number.h"
#include "telemetry/finite_or_null.h"
#include "telemetry/metrics_file.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

// Text in JSON is UTF-8; a sample may end in the middle of a character.
std::string dump(const Json& json) { return json_text(json, 2) + '\n'; }

// The fields of RunSummary and their names, once for both directions: `visit(name, member)`.
template <typename Summary, typename Visitor>
void visit_fields(Summary& summary, Visitor&& visit) {
  visit("parameters", summary.parameters);
  visit("world_size", summary.world_size);
  visit("steps", summary.steps);
  visit("tokens_per_gpu_per_second", summary.tokens_per_gpu_per_second);
  visit("tflops", summary.tflops);
  visit("gemm_tflops", summary.gemm_tflops);
  visit("gemm_share", summary.gemm_share);
  visit("planned_memory_bytes", summary.planned_memory_bytes);
  visit("peak_memory_bytes", summary.peak_memory_bytes);
  visit("time_to_first_step_s", summary.time_to_first_step_s);
  visit("final_loss", summary.final_loss);
  visit("checkpoint", summary.checkpoint);
  visit("first_loss", summary.first_loss);
  visit("step_ms", summary.step_ms);
  visit("skipped_iterations", summary.skipped_iterations);
  visit("stopped_by", summary.stopped_by);
  visit("failure", summary.failure);
  visit("wall_time_s", summary.wall_time_s);
  visit("model_name", summary.model_name);
  visit("model_note", summary.model_note);
  visit("num_hidden_layers", summary.num_hidden_layers);
  visit("dtype", summary.dtype);
  visit("isa", summary.isa);
  visit("accelerator", summary.accelerator);
  visit("gemm_measurement", summary.gemm_measurement);
  visit("flops_per_token", summary.flops_per_token);
  visit("flops_formula_name", summary.flops_formula_name);
  visit("flops_formula", summary.flops_formula);
  visit("memory_classes", summary.memory_classes);
  visit("architecture", summary.architecture);
  visit("configuration", summary.configuration);
  visit("machine", summary.machine);
  visit("resumed_from", summary.resumed_from);
  visit("resumed_at_iteration", summary.resumed_at_iteration);
  visit("command", summary.command);
  visit("started_at", summary.started_at);
  visit("version", summary.version);
  visit("process", summary.process);
  visit("start_phases_s", summary.start_phases);
  visit("sample_prompt", summary.sample_prompt);
  visit("sample_text", summary.sample_text);
}

Json to_json(int64_t value) { return value; }
Json to_json(double value) { return finite_or_null(value); }
Json to_json(const std::string& value) { return value; }
Json to_json(const MachineInfo& machine) {
  return {{"hostname", machine.hostname},
          {"cpu_model", machine.cpu_model},
          {"cores", machine.cores},
          {"memory_bytes", machine.memory_bytes},
          {"operating_system", machine.operating_system}};
}
Json to_json(const ProcessMark& process) {
  return {{"table", process.table}, {"id", process.id}, {"start_ticks", process.start_ticks}};
}
Json to_json(const std::vector<MemoryClass>& classes) {
  Json json = Json::array();
  for (const MemoryClass& one : classes) json.push_back({{"name", one.name}, {"bytes", one.bytes}});
  return json;
}
Json to_json(const std::vector<NamedSeconds>& phases) {
  Json json = Json::object();
  for (const NamedSeconds& one : phases) json[one.name] = one.seconds;
  return json;
}
Json to_json(const std::vector<NamedValue>& values) {
  Json json = Json::object();
  for (const NamedValue& one : values) json[one.name] = one.value;
  return json;
}

void from_json(const Json& json, int64_t& value) { value = json.get<int64_t>(); }
void from_json(const Json& json, double& value) {
  value = json.is_null() ? kNaN : json.get<double>();
}
void from_json(const Json& json, std::string& value) { value = json.get<std::string>(); }
void from_json(const Json& json, MachineInfo& machine) {
  machine.hostname = json.at("hostname");
  machine.cpu_model = json.at("cpu_model");
  machine.cores = json.at("cores");
  machine.memory_bytes = json.at("memory_bytes");
  machine.operating_system = json.at("operating_system");
}
void from_json(const Json& json, ProcessMark& process) {
  process.table = json.at("table");
  process.id = json.at("id");
  process.start_ticks = json.at("start_ticks");
}
void from_json(const Json& json, std::vector<MemoryClass>& classes) {
  for (const Json& one : json) classes.push_back({one.at("name"), one.at("bytes")});
}
void from_json(const Json& json, std::vector<NamedSeconds>& phases) {
  for (const auto& [name, seconds] : json.items()) phases.push_back({name, seconds});
}
void from_json(const Json& json, std::vector<NamedValue>& values) {
  for (const auto& [name, value] : json.items()) values.push_back({name, value});
}

// The steps that medians are taken over (see summarize_steps).
std::vector<const StepRecord*> measured_steps(std::span<const StepRecord> steps) {
  if (steps.size() > 1) steps = steps.subspan(1);
  std::vector<const StepRecord*> measured;
  for (const StepRecord& step : steps) {
    if (!step.skipped) measured.push_back(&step);
  }
  if (measured.empty()) {
    for (const StepRecord& step : steps) measured.push_back(&step);
  }
  return measured;
}

// Those of the last process that took part in a run, where it made any.
std::span<const StepRecord> own_steps(std::span<const StepRecord> all, int64_t resumed_at) {
  const auto own = std::ranges::find_if(
      all, [&](const StepRecord& step) { return step.iteration > resumed_at; });
  return own == all.end() ? all : all.subspan(static_cast<size_t>(own - all.begin()));
}

template <typename Value>
double median_of(const std::vector<const StepRecord*>& steps, Value value) {
  std::vector<double> values;
  values.reserve(steps.size());
  for (const StepRecord* step : steps) values.push_back(value(*step));
  return finite_median(std::move(values));
}

}  // namespace

RunSummary start_run_summary(const RunConfig& config) {
  RunSummary summary;
  summary.world_size = config.parallel.world_size;
  summary.model_name = config.model.name;
  summary.model_note = config.model.note;
  summary.num_hidden_layers = config.model.num_hidden_layers;
  summary.dtype = std::string(dtype_name(config.dtype));
  summary.architecture = architecture_values(config);
  summary.configuration = contract_variables(config);
  summary.machine = describe_machine();
  summary.process = this_process();
  summary.started_at = date_time_text();
  return summary;
}

void summarize_steps(std::span<const StepRecord> steps, RunSummary& summary) {
  const std::vector<const StepRecord*> measured = measured_steps(steps);
  summary.steps = static_cast<int64_t>(steps.size());
  summary.step_ms = median_of(measured, [](const StepRecord& step) { return step.elapsed_ms; });
  summary.tokens_per_gpu_per_second =
      median_of(measured, [](const StepRecord& step) { return step.tokens_per_gpu_per_second; });
  summary.tflops = median_of(measured, [](const StepRecord& step) { return step.tflops; });
  summary.gemm_share = median_of(measured, [](const StepRecord& step) { return step.gemm_share; });
  summary.skipped_iterations = steps.empty() ? 0 : steps.back().skipped_iterations;
  summary.first_loss = summary.final_loss = kNaN;
  for (const StepRecord& step : steps) {
    if (step.skipped || !std::isfinite(step.lm_loss)) continue;
    if (!std::isfinite(summary.first_loss)) summary.first_loss = step.lm_loss;
    summary.final_loss = step.lm_loss;
  }
}

void summarize_steps(const StepSeries& series, RunSummary& summary) {
  summarize_steps(own_steps(series.steps(), summary.resumed_at_iteration), summary);
  summary.steps = series.count();
  summary.first_loss = series.first_loss();
  summary.final_loss = series.final_loss();
}

std::string missing_steps_text(const RunSummary& summary, int64_t recorded_steps) {
  if (summary.stopped_by.empty() || recorded_steps >= summary.steps) return "";
  return fmt::format("{} has {} of the {} steps that {} tells of", kMetricsFileName, recorded_steps,
                     summary.steps, kSummaryFileName);
}

MeasuredSteps count_measured_steps(std::span<const StepRecord> steps,
                                   int64_t resumed_at_iteration) {
  const std::span<const StepRecord> own = own_steps(steps, resumed_at_iteration);
  const std::vector<const StepRecord*> measured = measured_steps(own);
  const auto count = static_cast<int64_t>(measured.size());
  MeasuredSteps counted{.count = count, .first_left_out = own.size() > 1};
  counted.all_skipped = count > 0 && measured.front()->skipped;
  counted.skipped = static_cast<int64_t>(own.size()) - count - (counted.first_left_out ? 1 : 0);
  return counted;
}

StepBreakdown step_breakdown(std::span<const StepRecord> steps, int64_t resumed_at_iteration) {
  return step_breakdown(measured_steps(own_steps(steps, resumed_at_iteration)));
}

StepBreakdown step_breakdown(const std::vector<const StepRecord*>& measured) {
  const auto part = [&measured](auto value) {
    const double middle = median_of(measured, value);
    return std::isfinite(middle) ? middle : 0.0;
  };
  StepBreakdown parts;
  parts.forward_ms = part([](const StepRecord& step) { return step.forward_ms; });
  parts.backward_ms = part([](const StepRecord& step) { return step.backward_ms; });
  parts.optimizer_ms = part([](const StepRecord& step) { return step.optimizer_ms; });
  parts.communication_ms = part([](const StepRecord& step) { return step.communication_ms; });
  parts.data_ms = part([](const StepRecord& step) { return step.data_ms; });
  parts.other_ms = part([](const StepRecord& step) {
    return std::max(0.0, step.elapsed_ms - step.forward_ms - step.backward_ms - step.optimizer_ms -
                             step.communication_ms - step.data_ms);
  });
  parts.total_ms = parts.forward_ms + parts.backward_ms + parts.optimizer_ms +
                   parts.communication_ms + parts.data_ms + parts.other_ms;
  return parts;
}

std::string run_summary_json(const RunSummary& summary) {
  Json json;
  visit_fields(summary,
               [&json](const char* name, const auto& value) { json[name] = to_json(value); });
  return dump(json);
}

void write_run_summary(const std::filesystem::path& run_dir, const RunSummary& summary) {
  write_file_atomically(run_dir / kSummaryFileName, run_summary_json(summary));
}

RunSummary read_run_summary(const std::filesystem::path& run_dir) {
  const std::filesystem::path path = run_dir / kSummaryFileName;
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kFile, fmt::format("{} does not exist", path.string()),
                "name the folder of a run: logs/<prefix>/<stamp>, or its --run-dir");
  }
  RunSummary summary;
  try {
    const Json json = Json::parse(read_json_text(path));
    visit_fields(summary, [&json](const char* name, auto& value) {
      // Fields that the first version did not write.
      const std::string_view field = name;
      const bool later = field.starts_with("resumed_") || field == "failure" ||
                         field == "accelerator" || field == "command" || field == "process" ||
                         field == "start_phases_s";
      if (!later || json.contains(name)) from_json(json.at(name), value);
    });
  } catch (const Json::exception& fault) {
    throw Error(
        ErrorKind::kData,
        fmt::format("{} is not the summary of a run ({})", path.string(), fault_text(fault)),
        "restore the file, or run the training again");
  }
  return summary;
}

bool is_run_folder(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::exists(path / kSummaryFileName, unknown);
}

}  // namespace borealis
