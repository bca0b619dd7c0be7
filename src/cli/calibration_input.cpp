#include "cli/calibration_input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/median.h"
#include "config/recorded_config.h"
#include "config/tokenizer_lookup.h"
#include "model/accounting.h"
#include "planner/step_table.h"
#include "report/report_audit.h"
#include "report/run_report.h"
#include "sweep/measurement.h"
#include "sweep/sweep_state.h"
#include "telemetry/run_summary.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// A run's step, and what it says of its machine.
struct OwnStep {
  MeasuredStep step;
  int64_t threads = 0;  // of a rank; 0: all cores that it may use
  RunSummary summary;

  // By its plan: of the card itself nothing may be known.
  bool is_on_gpu() const {
    return std::ranges::count(summary.memory_classes, kGpuContextClass, &MemoryClass::name) > 0;
  }
  // Of the cores that the host's ranks may use.
  int64_t rank_share() const {
    return std::max<int64_t>(1, summary.machine.cores / step.shape.ranks_per_host);
  }
};

// The shape of a run's step from its config.json, and its threads.
void read_configuration(const fs::path& run_dir, OwnStep& own) {
  const fs::path path = run_dir / "config.json";
  const RunConfig config = parse_recorded_config(
      nlohmann::json::parse(read_json_text(path), nullptr, /*allow_exceptions=*/false),
      path.string());
  const int64_t hosts = config.parallel.hosts;
  own.step.shape = step_shape(config, hosts, config.parallel.world_size / hosts);
  own.threads = config.machine.threads;
}

// A run that a signal or a limit of time stopped has measured its steps like any other.
void require_measured(const fs::path& run_dir, const RunResults& results) {
  const RunSummary& summary = results.summary;
  const auto refuse = [&](const std::string& fault) {
    throw Error(ErrorKind::kData, fmt::format("the run in {} {}", run_dir.string(), fault),
                "calibrate with runs that went to their end");
  };
  if (summary.stopped_by == "error") refuse(fmt::format("failed: {}", summary.failure));
  if (summary.stopped_by.empty() || !(summary.step_ms > 0)) refuse("has no finished steps");
  // What a skipped step leaves out would be missing.
  const int64_t skipped = results.steps.empty() ? 0 : results.steps.back().skipped_iterations;
  if (2 * skipped > results.recorded_steps) {
    refuse(fmt::format("skipped {} of {} steps", skipped, results.recorded_steps));
  }
}

OwnStep read_run(const fs::path& run_dir) {
  OwnStep own;
  own.step.name = run_dir.string();
  read_configuration(run_dir, own);
  const RunResults results = read_run_results(run_dir);
  require_measured(run_dir, results);
  own.summary = results.summary;
  own.step.seconds = 1e-3 * own.summary.step_ms;
  constexpr double kMostTflops = 1e9;
  const int64_t memory = own.summary.machine.memory_bytes, cores = own.summary.machine.cores;
  if (memory < 1 || memory > int64_t{1} << 60 || cores < 1 || cores > 1 << 20 ||
      own.summary.gemm_tflops > kMostTflops) {
    throw Error(
        ErrorKind::kData,
        fmt::format("{}/{} tells of no machine that there can be: {} bytes of memory, {} "
                    "cores, {:g} TFLOP/s",
                    run_dir.string(), kSummaryFileName, memory, cores, own.summary.gemm_tflops),
        "restore the file, or calibrate with other runs");
  }
  return own;
}

std::vector<OwnStep> read_sweep(const fs::path& folder, const SweepState& state) {
  std::vector<OwnStep> steps;
  for (const SweepPoint& point : state.points) {
    if (point.state != PointState::kDone) continue;
    OwnStep own = read_run(folder / point.runs.front());
    own.step.name = point.name;
    own.step.seconds =
        own.step.shape.tokens() /
        measure_runs(folder, point.runs, state.warmup_steps).tokens_per_gpu_per_second;
    steps.push_back(std::move(own));
  }
  if (steps.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("the sweep in {} has measured nothing yet", folder.string()),
                "let it go on with the same command");
  }
  return steps;
}

void require_one_machine(const std::vector<OwnStep>& runs) {
  const RunSummary& first = runs.front().summary;
  for (const OwnStep& run : runs) {
    const RunSummary& other = run.summary;
    const auto same = [&](const char* what, const auto& a, const auto& b) {
      if (a == b) return;
      throw Error(ErrorKind::kConfig,
                  fmt::format("{} and {} differ in their {}: {} and {}", runs.front().step.name,
                              run.step.name, what, a, b),
                  "calibrate a machine file for each");
    };
    same("CPU", first.machine.cpu_model, other.machine.cpu_model);
    same("cores", first.machine.cores, other.machine.cores);
    same("kernels", first.isa, other.isa);
    same("DTYPE", first.dtype, other.dtype);
  }
}

// A base is of our own program's kernels, and computes where the runs did.
void require_base(const OwnStep& run, const MachineModel& base) {
  const bool is_gpu = base.gpu_multiprocessors > 0;
  if (base.stack == TrainingStack::kBorealis && is_gpu == run.is_on_gpu()) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("{} is a run of this program on a {}, {} a machine of stack {} on a {}",
                          run.step.name, run.is_on_gpu() ? "GPU" : "CPU", base.name,
                          training_stack_name(base.stack), is_gpu ? "GPU" : "CPU"),
              "name a machine file of the runs' own kind, or none for a CPU's runs");
}

// What ranks share of a host they are taken to use.
void require_all_cores(const OwnStep& run) {
  if (run.is_on_gpu() || run.threads == 0 || run.threads >= run.rank_share()) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("{} computed on {} of its {} cores", run.step.name,
                          run.threads * run.step.shape.ranks_per_host, run.summary.machine.cores),
              "calibrate with runs that had the machine to themselves, without OMP_NUM_THREADS");
}

// What runs say of their machine. What they do not: bytes that memory moves for every FLOP of a
// product, which the fit corrects, and links, which nobody measured.
MachineModel machine_of(const std::vector<OwnStep>& runs) {
  const RunSummary& summary = runs.front().summary;
  if (runs.front().is_on_gpu()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} ran on {}, whose memory and links no run knows",
                            runs.front().step.name, summary.isa),
                "name that GPU's machine file to start from (--machine)");
  }
  std::vector<double> rates;
  for (const OwnStep& run : runs) {
    // Measured by one rank, on its part of the host.
    const auto ranks = static_cast<double>(run.step.shape.ranks_per_host);
    if (run.summary.gemm_tflops > 0) rates.push_back(1e12 * ranks * run.summary.gemm_tflops);
  }
  if (rates.empty()) {
    throw Error(ErrorKind::kData, "no run knows its machine's rate of matrix products",
                "name a machine file to start from (--machine)");
  }
  MachineModel machine;
  machine.dtype = runs.front().step.shape.dtype;
  machine.description = fmt::format("{}, {} cores, {} kernels", summary.machine.cpu_model,
                                    summary.machine.cores, summary.isa);
  machine.cores_per_host = summary.machine.cores;
  machine.memory_bytes = summary.machine.memory_bytes;
  machine.reserve_bytes =
      std::min(machine.memory_bytes / 2, std::max(int64_t{1} << 30, machine.memory_bytes / 16));
  machine.links = {.within_host_bytes_per_s = 5e9,
                   .within_host_latency_s = 5e-6,
                   .between_hosts_bytes_per_s = 1.25e9,
                   .between_hosts_latency_s = 50e-6,
                   .all_reduce = AllReduce::kHierarchical};
  machine.provenance = "links that were not measured are assumed";
  const double rate = median(rates);
  const double flops_a_byte = machine.dtype == DType::kBF16 ? 30 : 12;
  constexpr double kOptimizerBytes = 26;  // a parameter: AdamW reads and writes its state, the norm
  machine.assumed = {1 / rate, 1 / rate, flops_a_byte / rate, kOptimizerBytes * flops_a_byte / rate,
                     1e-3};
  return machine;
}

std::vector<MeasuredStep> read_published(const std::string& file, const MachineModel& base) {
  const PublishedReport report = parse_published_report(read_text_file(file), file);
  const auto vocab_size = known_vocab_size(report.tokenizer_model);
  if (!vocab_size) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: the vocabulary of TOKENIZER_MODEL={} is not known", file,
                            report.tokenizer_model),
                "give a table of steps instead (docs/planner.md)");
  }
  std::vector<MeasuredStep> steps;
  // A rate of all ranks is exact; one a rank may be from another sampling of the same run.
  for (const PublishedQuantity wanted :
       {PublishedQuantity::kTokens, PublishedQuantity::kTokensPerGpu}) {
    for (const PublishedList& list : report.lists) {
      for (const PublishedRun& run : list.runs) {
        const auto known = [&](const MeasuredStep& step) { return step.name == run.name(); };
        if (list.quantity != wanted || std::ranges::any_of(steps, known)) continue;
        const auto model = published_model(report, run.family, run.layers, *vocab_size);
        const int64_t ranks = run.hosts * base.ranks_per_host;
        const int64_t unit = ranks * report.micro_batch_size;
        if (!model || unit < 1 || run.global_batch % unit != 0 || !(run.value.value > 0)) {
          throw Error(ErrorKind::kData,
                      fmt::format("{}, line {}: {} is no step of {} hosts of {} ranks", file,
                                  run.value.line, run.name(), run.hosts, base.ranks_per_host),
                      "name a machine with the report's ranks_per_host (--machine)");
        }
        MeasuredStep step;
        step.name = run.name();
        step.shape = {.model = *model,
                      .seq_length = model->max_position_embeddings,
                      .micro_batch_size = report.micro_batch_size,
                      .grad_accum_steps = run.global_batch / unit,
                      .dtype = base.dtype,
                      .hosts = run.hosts,
                      .ranks_per_host = base.ranks_per_host};
        const double of_ranks =
            wanted == PublishedQuantity::kTokens ? static_cast<double>(ranks) : 1;
        step.seconds = step.shape.tokens() * of_ranks / run.value.value;
        steps.push_back(std::move(step));
      }
    }
  }
  std::ranges::sort(steps, {}, [](const MeasuredStep& step) {
    return std::tuple(step.name.substr(0, step.name.find(' ')), step.shape.grad_accum_steps,
                      step.shape.model.num_hidden_layers);
  });
  return steps;
}

const MachineModel& base_for(const std::string& place, const std::optional<MachineModel>& base) {
  if (base) return *base;
  throw Error(ErrorKind::kUsage,
              fmt::format("{} does not say on which machine its steps were made", place),
              "name that machine by --machine: its ranks, links and assumptions are taken");
}

}  // namespace

CalibrationInput read_calibration_input(const std::vector<std::string>& places,
                                        const std::optional<MachineModel>& base) {
  CalibrationInput input;
  std::vector<OwnStep> runs;
  std::vector<std::string> names;  // of what has steps
  std::set<fs::path> seen;
  for (const std::string& place : places) {
    std::error_code none;
    std::vector<MeasuredStep> steps;
    if (!seen.insert(fs::weakly_canonical(place, none)).second) {
      throw Error(ErrorKind::kUsage, fmt::format("{} is named twice", place),
                  "the same steps tell nothing new");
    }
    if (!fs::exists(place, none)) {
      throw Error(ErrorKind::kFile, fmt::format("{} does not exist", place),
                  "name the folder of a run or of a sweep, a published report, a table of steps, "
                  "or what doctor printed (docs/planner.md)");
    }
    if (place.ends_with(".json")) {
      input.links.push_back(parse_measured_links(read_text_file(place), place));
      continue;
    }
    names.push_back(fs::path(place).filename().string());
    if (fs::is_directory(place, none)) {
      const auto sweep = read_sweep_state(place);
      for (OwnStep& own : sweep ? read_sweep(place, *sweep) : std::vector{read_run(place)}) {
        runs.push_back(own);
        steps.push_back(std::move(own.step));
      }
    } else if (place.ends_with(".csv")) {
      steps = parse_step_table(read_text_file(place), place, base_for(place, base).dtype);
    } else {
      steps = read_published(place, base_for(place, base));
    }
    std::ranges::move(steps, std::back_inserter(input.steps));
  }
  constexpr size_t kNamed = 4;
  input.source = names.size() <= kNamed
                     ? fmt::format("{}", fmt::join(names, ", "))
                     : fmt::format("{} and {} more", names.front(), names.size() - 1);
  if (!runs.empty()) {
    require_one_machine(runs);
    for (const OwnStep& run : runs) {
      require_all_cores(run);
      if (base) require_base(run, *base);
    }
    if (!base) input.machine = machine_of(runs);
  }
  return input;
}

}  // namespace borealis
