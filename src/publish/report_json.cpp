#include "publish/report_json.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "config/recorded_config.h"
#include "model/flop_formulas.h"
#include "report/report_content.h"
#include "telemetry/finite_or_null.h"

namespace borealis {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kFormat = "borealis performance report";
constexpr int kVersion = 1;

// The columns of a run's steps.
struct StepColumn {
  const char* name;
  double StepRecord::*value;
};
constexpr std::array kStepColumns = {
    StepColumn{"elapsed_ms", &StepRecord::elapsed_ms},
    StepColumn{"samples_per_second", &StepRecord::samples_per_second},
    StepColumn{"tokens_per_gpu_per_second", &StepRecord::tokens_per_gpu_per_second},
    StepColumn{"tflops", &StepRecord::tflops},
    StepColumn{"lm_loss", &StepRecord::lm_loss},
    StepColumn{"forward_ms", &StepRecord::forward_ms},
    StepColumn{"backward_ms", &StepRecord::backward_ms},
    StepColumn{"optimizer_ms", &StepRecord::optimizer_ms},
    StepColumn{"communication_ms", &StepRecord::communication_ms},
    StepColumn{"data_ms", &StepRecord::data_ms}};

double number_of(const OrderedJson& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

// Fields of a structure: stated once, written and read by it.
template <typename Visitor, typename Run>
void visit_run(Run& run, const Visitor& visit) {
  visit("source", run.source);
  visit("model_arch", run.family);
  visit("started_at", run.started_at);
  visit("state", run.state);
  visit("version", run.version);
  visit("parameters", run.parameters);
  visit("seq_length", run.seq_length);
  visit("micro_batch_size", run.micro_batch_size);
  visit("grad_accum_steps", run.grad_accum_steps);
  visit("global_batch_size", run.global_batch_size);
  visit("world_size", run.world_size);
  visit("hosts", run.hosts);
  visit("zero_stage", run.zero_stage);
  visit("recompute", run.recompute);
  visit("dtype", run.dtype);
  visit("isa", run.isa);
  visit("gemm_measurement", run.gemm_measurement);
  visit("planned_memory_bytes", run.planned_bytes);
  visit("peak_memory_bytes", run.peak_bytes);
  visit("time_to_first_step_s", run.time_to_first_step_s);
  visit("rounding", run.rounding);
  visit("warmup_steps", run.warmup_steps);
  visit("step_stride", run.step_stride);
}

// What older versions did not write; without it a run has the defaults.
template <typename Visitor, typename Run>
void visit_later_fields(Run& run, const Visitor& visit) {
  visit("sequence_parallel_size", run.sequence_parallel_size);
  visit("zero_hpz_partition_size", run.zero_hpz_partition_size);
  visit("grad_reduce_in_bf16", run.grad_reduce_in_bf16);
  visit("layers_per_segment", run.layers_per_segment);
  visit("threads", run.threads);
  visit("deterministic", run.deterministic);
  visit("profiled", run.profiled);
}

template <typename Visitor, typename Model>
void visit_model(Model& model, const Visitor& visit) {
  visit("name", model.name);
  visit("num_hidden_layers", model.num_hidden_layers);
  visit("hidden_size", model.hidden_size);
  visit("num_attention_heads", model.num_attention_heads);
  visit("num_key_value_heads", model.num_key_value_heads);
  visit("head_dim", model.head_dim);
  visit("intermediate_size", model.intermediate_size);
  visit("vocab_size", model.vocab_size);
  visit("tie_word_embeddings", model.tie_word_embeddings);
}

template <typename Visitor, typename Machine>
void visit_machine(Machine& machine, const Visitor& visit) {
  visit("hostname", machine.hostname);
  visit("cpu_model", machine.cpu_model);
  visit("cores", machine.cores);
  visit("memory_bytes", machine.memory_bytes);
  visit("operating_system", machine.operating_system);
}

template <typename Visitor, typename End>
void visit_end(End& end, const Visitor& visit) {
  visit("model_arch", end.family);
  visit("variant", end.variant);
  visit("nlayers", end.layers);
  visit("kind", end.kind);
  visit("reason", end.reason);
  visit("planned_memory_bytes", end.planned_bytes);
  visit("limit_bytes", end.limit_bytes);
}

auto writer(OrderedJson& json) {
  return [&json](const char* name, const auto& value) { json[name] = value; };
}
auto reader(const OrderedJson& json) {
  return [&json](const char* name, auto& value) { json.at(name).get_to(value); };
}
auto reader_of_some(const OrderedJson& json) {
  return [&json](const char* name, auto& value) {
    if (json.contains(name)) json.at(name).get_to(value);
  };
}

OrderedJson object_of(const std::vector<NamedValue>& values) {
  OrderedJson object = OrderedJson::object();
  for (const NamedValue& one : values) object[one.name] = one.value;
  return object;
}
std::vector<NamedValue> values_of(const OrderedJson& object) {
  std::vector<NamedValue> values;
  for (const auto& [name, value] : object.items()) {
    values.push_back({name, value.get<std::string>()});
  }
  return values;
}

OrderedJson steps_json(const std::vector<StepRecord>& steps) {
  OrderedJson json;
  OrderedJson iterations = OrderedJson::array(), batches = OrderedJson::array();
  for (const StepRecord& step : steps) {
    iterations.push_back(step.iteration);
    batches.push_back(step.global_batch_size);
  }
  json["iteration"] = iterations;
  json["global_batch_size"] = batches;
  for (const StepColumn& column : kStepColumns) {
    OrderedJson values = OrderedJson::array();
    for (const StepRecord& step : steps) values.push_back(finite_or_null(step.*column.value));
    json[column.name] = values;
  }
  return json;
}

std::vector<StepRecord> steps_of(const OrderedJson& json) {
  const OrderedJson &iterations = json.at("iteration"), &batches = json.at("global_batch_size");
  std::vector<StepRecord> steps(iterations.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].iteration = iterations.at(i);
    steps[i].global_batch_size = batches.at(i);
    for (const StepColumn& column : kStepColumns) {
      steps[i].*column.value = number_of(json.at(column.name).at(i));
    }
  }
  if (steps.empty()) throw Error(ErrorKind::kData, "a run of it has no step");
  return steps;
}

OrderedJson run_json(const MeasuredRun& run) {
  OrderedJson json, model, machine, loss = OrderedJson::array();
  visit_run(run, writer(json));
  visit_later_fields(run, writer(json));
  json["gemm_tflops"] = finite_or_null(run.gemm_tflops);
  visit_model(run.model, writer(model));
  visit_machine(run.machine, writer(machine));
  for (const PlotPoint& point : run.loss) loss.push_back({point.x, finite_or_null(point.y)});
  json["model"] = model;
  json["machine"] = machine;
  json["settings"] = object_of(run.settings);
  json["grid"] = object_of(run.grid);
  json["steps"] = steps_json(run.steps);
  json["loss_by_tokens"] = loss;
  return json;
}

MeasuredRun run_of(const OrderedJson& json) {
  MeasuredRun run;
  visit_run(run, reader(json));
  visit_later_fields(run, reader_of_some(json));
  run.gemm_tflops = number_of(json.at("gemm_tflops"));
  visit_model(run.model, reader(json.at("model")));
  visit_machine(run.machine, reader(json.at("machine")));
  require_shape(run.model);
  run.settings = values_of(json.at("settings"));
  if (json.contains("grid")) run.grid = values_of(json.at("grid"));
  run.steps = steps_of(json.at("steps"));
  for (const OrderedJson& point : json.at("loss_by_tokens")) {
    run.loss.push_back({point.at(0), number_of(point.at(1))});
  }
  return run;
}

OrderedJson spread_json(const Spread& spread) {
  return {{"median", finite_or_null(spread.median)},
          {"min", finite_or_null(spread.low)},
          {"max", finite_or_null(spread.high)}};
}

OrderedJson row_json(const PerformanceReport& report, const ResultRow& row) {
  OrderedJson by_formula, parts;
  const auto formulas = flop_formulas();
  for (size_t i = 0; i < formulas.size(); ++i) {
    by_formula[formulas[i].key] = finite_or_null(row.tflops_by_formula[i]);
  }
  for (const BarPart& part : step_time_parts(row.parts)) parts[part.label] = part.value;
  OrderedJson json = {{"model_arch", row.family},
                      {"nlayers", row.layers},
                      {"variant", row.variant},
                      {"parameters", row.parameters},
                      {"runs", row.runs},
                      {"step_ms", spread_json(row.step_ms)},
                      {"tokens_per_gpu_per_second", spread_json(row.tokens_per_gpu_per_second)},
                      {"tflops", spread_json(row.tflops)},
                      {"tflops_by_formula", by_formula},
                      {"gemm_share", finite_or_null(row.gemm_share)},
                      {"planned_memory_bytes", row.planned_bytes},
                      {"peak_memory_bytes", row.peak_bytes},
                      {"step_parts_ms", parts}};
  if (report.peak_tflops) json["mfu"] = finite_or_null(row.mfu);
  return json;
}

}  // namespace

std::string performance_json(const PerformanceReport& report) {
  OrderedJson rows = OrderedJson::array(), ends = OrderedJson::array(), runs = OrderedJson::array(),
              disagreements = OrderedJson::array(), formulas = OrderedJson::array();
  for (const ResultRow& row : report.rows) rows.push_back(row_json(report, row));
  for (const MemoryEnd& end : report.memory_ends) {
    OrderedJson json;
    visit_end(end, writer(json));
    ends.push_back(json);
  }
  for (const Disagreement& one : report.disagreements) {
    disagreements.push_back({{"source", one.source}, {"text", one.text}});
  }
  for (const FlopFormula& formula : flop_formulas()) {
    formulas.push_back({{"key", formula.key}, {"name", formula.name}, {"formula", formula.text}});
  }
  for (const MeasuredRun& run : report.runs) runs.push_back(run_json(run));
  const OrderedJson json = {
      {"format", kFormat},
      {"format_version", kVersion},
      {"written_by", "Borealis " + report.version},
      {"peak_tflops", report.peak_tflops ? OrderedJson(*report.peak_tflops) : OrderedJson()},
      {"formulas", formulas},
      {"rows", rows},
      {"out_of_memory", ends},
      {"checks", report.checks},
      {"disagreements", disagreements},
      {"runs", runs}};
  return json_text(json, 1) + "\n";
}

ReportSources parse_performance_json(const std::string& text, const std::string& name) {
  std::string wrong;
  try {
    const OrderedJson json = OrderedJson::parse(text);
    if (json.at("format") != kFormat || json.at("format_version") != kVersion) {
      throw Error(ErrorKind::kData, "it is of another kind or version");
    }
    ReportSources sources;
    for (const OrderedJson& run : json.at("runs")) sources.runs.push_back(run_of(run));
    for (const OrderedJson& one : json.at("out_of_memory")) {
      visit_end(sources.memory_ends.emplace_back(), reader(one));
    }
    return sources;
  } catch (const OrderedJson::exception& fault) {
    wrong = fault_text(fault);
  } catch (const Error& fault) {
    wrong = fault_text(fault);
  }
  throw Error(ErrorKind::kData,
              fmt::format("{} is not a performance report's report.json ({})", name, wrong),
              "restore the file, or make the report again from the runs' folders");
}

}  // namespace borealis
