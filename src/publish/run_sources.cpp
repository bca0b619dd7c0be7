#include "publish/run_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "config/presets.h"
#include "publish/report_json.h"
#include "publish/trainer_log.h"
#include "publish/wandb_source.h"
#include "sweep/sweep_state.h"
#include "telemetry/run_summary.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStartUpSteps = 1;

std::string setting(const PointSettings& settings, std::string_view name) {
  for (const auto& [variable, value] : settings) {
    if (variable == name) return value;
  }
  return "";
}

std::optional<MemoryEnd> memory_end_of(const SweepPoint& point) {
  const bool ended = point.state == PointState::kDoesNotFit ||
                     point.state == PointState::kOutOfMemory ||
                     point.state == PointState::kKilled || point.state == PointState::kBeyondMemory;
  const std::string layers = setting(point.settings, "NLAYERS");
  if (!ended || layers.empty() || layers.size() > 9) return std::nullopt;
  MemoryEnd end;
  end.family = setting(point.settings, "MODEL_ARCH");
  // As runs of it are called.
  if (const ModelPreset* preset = find_preset(end.family)) end.family = preset->name;
  if (end.family.empty()) end.family = "custom";
  end.variant = other_settings(point.settings);
  end.layers = std::strtoll(layers.c_str(), nullptr, 10);
  end.kind = point_state_name(point.state);
  end.reason = point.reason;
  end.planned_bytes = point.plan.planned_bytes;
  end.limit_bytes = point.plan.limit_bytes;
  return end;
}

bool is_model_or_layers(const std::string& variable) {
  return variable == "MODEL_ARCH" || variable == "NLAYERS";
}

// Of one run in two forms, its folder and a record of it for another program: the times of the
// steps that both have, of which no two runs have the same.
bool are_one_run(const MeasuredRun& a, const MeasuredRun& b) {
  constexpr double kPrinted = 1e-6;  // seconds in one record, milliseconds in the other
  if (a.model.name != b.model.name || a.machine.hostname != b.machine.hostname ||
      a.machine.cpu_model != b.machine.cpu_model || a.rounding > 0 || b.rounding > 0) {
    return false;
  }
  bool share = false;
  for (auto x = a.steps.begin(), y = b.steps.begin(); x != a.steps.end() && y != b.steps.end();) {
    if (x->iteration != y->iteration) {
      x->iteration < y->iteration ? ++x : ++y;
      continue;
    }
    const bool equal = std::abs(x->elapsed_ms - y->elapsed_ms) <= kPrinted * y->elapsed_ms;
    if (!equal) return false;
    share = true;
    ++x, ++y;
  }
  return share;
}

// Of a folder that this user may not read: not known, and so none.
bool is_sweep_folder(const fs::path& folder) {
  std::error_code unknown;
  return fs::exists(folder / kSweepFileName, unknown);
}

class Collector {
 public:
  explicit Collector(const SourceOptions& options) : options_(options) {}

  void take(const fs::path& path) {
    if (fs::is_regular_file(path)) {
      take_file(path);
    } else if (!fs::is_directory(path)) {
      throw Error(ErrorKind::kFile, fmt::format("{} does not exist", path.string()),
                  "name the folder of a run, logs/<prefix>/<stamp>, or of a sweep");
    } else if (is_sweep_folder(path)) {
      take_sweep(path);
    } else if (const fs::path log = wandb_log_in(path); !log.empty()) {
      take_file(log);
    } else if (is_run_folder(path)) {
      take_run(path, options_.warmup_steps.value_or(kStartUpSteps));
    } else {
      take_beneath(path);
    }
  }

  ReportSources finish() {
    if (found_.runs.empty()) {
      throw Error(ErrorKind::kData, "there is no run with steps that count",
                  "name folders of runs: logs/<prefix>/<stamp>, or of a sweep");
    }
    return std::move(found_);
  }

 private:
  // False: it was there already.
  bool is_new(const fs::path& path) {
    std::error_code unknown;
    const fs::path real = fs::canonical(path, unknown);
    return seen_.insert(unknown ? path : real).second;
  }
  void add(MeasuredRun run) {
    const auto same = [&run](const MeasuredRun& other) { return are_one_run(run, other); };
    if (std::ranges::none_of(found_.runs, same)) found_.runs.push_back(std::move(run));
  }
  // grid: of a sweep's point.
  void take_run(const fs::path& path, int64_t warmup_steps, const PointSettings& grid = {}) {
    if (!is_new(path)) return;
    MeasuredRun run = read_measured_run(path, warmup_steps);
    if (!run.problem.empty()) options_.warn(fmt::format("{}: {}", path.string(), run.problem));
    for (const auto& [variable, value] : grid) {
      if (!is_model_or_layers(variable)) run.grid.push_back({variable, value});
    }
    add(std::move(run));
  }
  void take_run_if_sound(const fs::path& path, int64_t warmup_steps,
                         const PointSettings& grid = {}) {
    try {
      take_run(path, warmup_steps, grid);
    } catch (const Error& error) {
      options_.warn(fmt::format("left out: {}", fault_text(error)));
    }
  }
  void take_sweep(const fs::path& path) {
    if (!is_new(path)) return;
    const std::optional<SweepState> state = read_sweep_state(path);
    if (!state) return;
    const int64_t warmup = options_.warmup_steps.value_or(state->warmup_steps);
    for (const SweepPoint& point : state->points) {
      for (const std::string& run : point.runs) {
        take_run_if_sound(path / run, warmup, point.settings);
      }
      if (auto end = memory_end_of(point)) {
        found_.memory_ends.push_back(std::move(*end));
      } else if (point.state == PointState::kFailed) {
        options_.warn(fmt::format("{} of {} failed: {}", point.name, path.string(), point.reason));
      }
    }
  }
  void take_file(const fs::path& path) {
    if (!is_new(path)) return;
    const int64_t warmup = options_.warmup_steps.value_or(kStartUpSteps);
    if (path.extension() == ".wandb") {  // may be large
      const MappedFile file(path);
      const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()),
                                   file.bytes().size());
      MeasuredRun run = parse_wandb_log(bytes, path.string(), warmup);
      if (!run.problem.empty()) options_.warn(fmt::format("{}: {}", path.string(), run.problem));
      add(std::move(run));
      return;
    }
    const std::string text = read_text_file(path);
    if (path.extension() == ".json") {
      refuse_nul(text, path.string());
      take_report(text, path);
    } else if (is_trainer_log(text)) {
      found_.runs.push_back(parse_trainer_log(text, path.string(), warmup));
    } else {
      throw Error(ErrorKind::kData,
                  fmt::format("{} is neither a report.json nor a log", path.string()),
                  "name folders of runs or of sweeps, the report.json of a report, or the log of "
                  "a run with lines of iterations");
    }
  }
  void take_report(const std::string& text, const fs::path& path) {
    ReportSources other = parse_performance_json(text, path.string());
    for (MeasuredRun& run : other.runs) add(std::move(run));
    std::ranges::move(other.memory_ends, std::back_inserter(found_.memory_ends));
  }
  void take_beneath(const fs::path& path) {
    std::vector<fs::path> folders;
    for (auto at =
             fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied);
         at != fs::recursive_directory_iterator(); ++at) {
      if (!at->is_directory()) continue;
      const bool is_source = is_sweep_folder(at->path()) || is_run_folder(at->path());
      if (!is_source) continue;
      folders.push_back(at->path());
      at.disable_recursion_pending();
    }
    std::ranges::sort(folders);
    for (const fs::path& folder : folders) {
      if (is_sweep_folder(folder)) {
        take_sweep(folder);
      } else {
        take_run_if_sound(folder, options_.warmup_steps.value_or(kStartUpSteps));
      }
    }
    if (folders.empty() && fs::exists(path / kReportJsonName)) {
      take_file(path / kReportJsonName);
    } else if (folders.empty()) {
      throw Error(ErrorKind::kFile,
                  fmt::format("there is no run (summary.json) beneath {}", path.string()),
                  "name the folder of a run, logs/<prefix>/<stamp>, or of a sweep");
    }
  }

  const SourceOptions& options_;
  ReportSources found_;
  std::set<fs::path> seen_;
};

}  // namespace

ReportSources collect_runs(const std::vector<std::filesystem::path>& sources,
                           const SourceOptions& options) {
  Collector collector(options);
  for (const fs::path& source : sources) collector.take(source);
  return collector.finish();
}

}  // namespace borealis
