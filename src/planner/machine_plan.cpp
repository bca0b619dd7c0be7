#include "planner/machine_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/memory.h"
#include "config/option_limits.h"
#include "model/accounting.h"
#include "planner/planner.h"
#include "planner/stack_memory.h"

namespace borealis {
namespace {

// "llama3-3B-nLayers14" -> "llama3-3B": the same for all depths.
std::string family_name(const std::string& name) { return name.substr(0, name.rfind("-nLayers")); }

std::optional<int64_t> layers_that_fit(const RunConfig& config, const MachineModel& machine,
                                       const StepShape& shape, int threads, int64_t usable) {
  const auto fits = [&](int64_t layers) {
    const RunConfig changed = with_layers(config, layers);
    return total_bytes(rank_memory(changed, machine, shape.hosts, shape.ranks_per_host, threads)) <=
           usable;
  };
  const int64_t layers = largest_fitting(kMaxLayers, fits);
  if (layers == kMaxLayers) return std::nullopt;
  return layers;
}

// What the file does not describe is not planned.
void require_same_kind(const RunConfig& config, const MachineModel& machine) {
  if (config.dtype != machine.dtype) {
    throw Error(ErrorKind::kConfig,
                fmt::format("DTYPE={}, but the machine {} is described for {}",
                            dtype_name(config.dtype), machine.name, dtype_name(machine.dtype)),
                "another DTYPE is another machine file (docs/planner.md)");
  }
  const std::string& device = config.machine.device;
  const bool is_gpu = machine.gpu_multiprocessors > 0;
  // Of another stack is a device that our own program does not know, unless ranks share cores.
  const bool is_cpu =
      !is_gpu && (machine.stack == TrainingStack::kBorealis || machine.cores_per_host > 0);
  if (device == "auto" || (device == "cuda" && is_gpu) || (device == "cpu" && is_cpu)) return;
  throw Error(
      ErrorKind::kConfig,
      fmt::format("DEVICE={}, but the machine {} is described as {}", device, machine.name,
                  is_gpu   ? "a GPU"
                  : is_cpu ? "CPUs"
                           : fmt::format("a device of {}", training_stack_name(machine.stack))),
      "leave DEVICE at auto, or name a machine file of that device (docs/planner.md)");
}

void require_known_parallelism(const RunConfig& config, const MachineModel& machine) {
  const int64_t parts = config.parallel.sequence_parallel_size;
  const bool is_our_gpu =
      machine.stack == TrainingStack::kBorealis && machine.gpu_multiprocessors > 0;
  if (parts == 1 || !is_our_gpu) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("SP={} on {}: ranks that share sequences compute on CPUs so far", parts,
                          machine.name),
              "set SP to 1");
}

std::string standing_of(const StepEstimate& estimate) {
  if (!estimate.calibrated) return "uncalibrated";
  return estimate.known_hosts ? "calibrated" : "links uncalibrated";
}

// What the run itself keeps free is not its own: of a limit that the user gives, and of a GPU.
int64_t usable_of(const MachinePoint& point, const MachineModel& machine) {
  if (point.is_limited) return usable_bytes({point.memory_bytes, kGivenLimit});
  const bool ours = machine.stack == TrainingStack::kBorealis && machine.gpu_multiprocessors > 0;
  return ours ? usable_bytes({point.memory_bytes, kGpuLimit}) : point.memory_bytes;
}

}  // namespace

MachinePoint plan_point(const RunConfig& config, const MachineModel& machine, int64_t hosts,
                        int64_t ranks_per_host, std::optional<double> tokens, int threads) {
  require_same_kind(config, machine);
  require_known_parallelism(config, machine);
  const StepShape shape = step_shape(config, hosts, ranks_per_host);
  const StepEstimate estimate = estimate_step(machine, shape);
  MachinePoint point;
  point.model = family_name(config.model.name);
  point.num_hidden_layers = config.model.num_hidden_layers;
  point.parameters = parameter_count(config.model);
  point.hosts = hosts;
  point.ranks = shape.ranks();
  point.global_batch_size = config.batch.global_batch_size;
  point.step_s = estimate.seconds;
  point.deviation = estimate.deviation;
  point.communication_s = estimate.communication_s;
  point.tokens_per_gpu_per_second = shape.tokens() / estimate.seconds;
  point.tflops = point.tokens_per_gpu_per_second *
                 flops_per_token(config.model, config.batch.seq_length) * 1e-12;
  if (machine.cores_per_host > 0) {
    threads = static_cast<int>(std::max<int64_t>(1, machine.cores_per_host / ranks_per_host));
  }
  point.memory = rank_memory(config, machine, hosts, ranks_per_host, threads);
  point.total_bytes = total_bytes(point.memory);
  point.memory_bytes = rank_limit_bytes(config, machine, ranks_per_host);
  point.is_limited = point.memory_bytes < machine.rank_memory_bytes(ranks_per_host);
  const int64_t usable = usable_of(point, machine);
  point.fits = point.total_bytes <= usable;
  point.most_layers = layers_that_fit(config, machine, shape, threads, usable);
  point.standing = standing_of(estimate);
  if (tokens) {
    const double rate = point.tokens_per_gpu_per_second * static_cast<double>(shape.ranks());
    point.train_s = *tokens / rate;
    point.node_hours = *point.train_s * static_cast<double>(hosts) / 3600;
  }
  return point;
}

std::string machine_plan_json(const MachineModel& machine,
                              const std::vector<MachinePoint>& points) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](bool known, double value) { return known ? Json(value) : Json(nullptr); };
  Json list = Json::array();
  for (const MachinePoint& point : points) {
    Json classes = Json::array();
    for (const MemoryClass& entry : point.memory) {
      classes.push_back({{"name", entry.name}, {"bytes", entry.bytes}});
    }
    list.push_back(
        {{"model", point.model},
         {"settings", point.settings},
         {"num_hidden_layers", point.num_hidden_layers},
         {"parameters", point.parameters},
         {"hosts", point.hosts},
         {"ranks", point.ranks},
         {"global_batch_size", point.global_batch_size},
         {"standing", point.standing},
         {"step_time_s", or_null(point.fits, point.step_s)},
         {"relative_standard_deviation", or_null(point.fits, point.deviation)},
         {"communication_s", or_null(point.fits, point.communication_s)},
         {"tokens_per_gpu_per_second", or_null(point.fits, point.tokens_per_gpu_per_second)},
         {"tflops", or_null(point.fits, point.tflops)},
         {"memory",
          {{"total_bytes", point.total_bytes},
           {"limit_bytes", point.memory_bytes},
           {"classes", classes}}},
         {"fits", point.fits},
         {"most_layers", point.most_layers ? Json(*point.most_layers) : Json(nullptr)},
         {"train_time_s", or_null(point.fits && point.train_s, point.train_s.value_or(0))},
         {"node_hours", or_null(point.fits && point.node_hours, point.node_hours.value_or(0))}});
  }
  Json about = {{"name", machine.name},
                {"stack", training_stack_name(machine.stack)},
                {"dtype", dtype_name(machine.dtype)},
                {"memory_bytes", machine.memory_bytes},
                {"reserve_bytes", machine.reserve_bytes},
                {"calibrated_on", nullptr}};
  if (machine.calibration) {
    const CalibrationErrors errors = machine.calibration->errors();
    about["calibrated_on"] = {{"source", machine.calibration->source},
                              {"rows", machine.calibration->rows.size()},
                              {"hosts", machine.calibration->hosts},
                              {"largest_residual", errors.largest_residual},
                              {"rms_left_out_error", errors.rms_left_out},
                              {"largest_left_out_error", errors.largest_left_out}};
  }
  const Json document = {
      {"machine", about}, {"flops_formula", kFlopsFormulaName}, {"points", list}};
  return json_text(document, 2);
}

}  // namespace borealis
