#include <fmt/format.h>
#include <wordexp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>

#include "base/cores.h"
#include "base/date_time.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/joint_report.h"
#include "cli/parse_arguments.h"
#include "cli/sweep_points.h"
#include "config/run_config_loader.h"
#include "sweep/families.h"
#include "sweep/grid_file.h"
#include "sweep/point_command.h"
#include "sweep/sweep_runner.h"
#include "sweep/sweep_text.h"
#include "telemetry/progress.h"
#include "telemetry/run_summary.h"

namespace borealis {
namespace {

struct SweepArguments {
  std::string arch;
  std::string layers;
  std::vector<std::string> settings;
  std::vector<std::string> files;
  std::string launcher;
  std::string folder = "logs/sweep";
  int64_t steps = 10;
  int64_t warmup_steps = 2;
  int64_t repeats = 1;
  bool try_all = false;
  bool dry_run = false;
  bool json = false;
  std::vector<std::string> flags;  // behind --
};

// False if help was asked for.
bool parse_sweep_arguments(std::vector<std::string> arguments, SweepArguments& parsed) {
  const auto gap = std::ranges::find(arguments, "--");
  if (gap != arguments.end()) parsed.flags.assign(gap + 1, arguments.end());
  arguments.erase(gap, arguments.end());
  CLI::App app(
      "Measure every point of a grid of settings, one `borealis train` each, until memory ends. "
      "The "
      "same command goes on where it was stopped. Flags behind -- go to every train, as in\n"
      "  borealis sweep --arch llama3-3B,smollm3-3B --nlayers 4:16:2 -- --mock-data",
      "borealis sweep");
  constexpr int64_t kMost = 1'000'000'000;
  app.add_option("--arch", parsed.arch, "values of MODEL_ARCH: A,B,...");
  app.add_option("--nlayers", parsed.layers, "values of NLAYERS: FIRST:LAST:STEP or 4,8,...");
  app.add_option("--set", parsed.settings,
                 "VARIABLE=value,value,...: values of any variable of the contract; several times")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--file", parsed.files, "grids in YAML or JSON (docs/sweep.md); several times")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--launch", parsed.launcher,
                 "command that starts each run and waits for it, \"srun -n 1\", instead of this "
                 "process: a job a run (docs/sweep.md)");
  app.add_option("--output", parsed.folder, "folder of the sweep")->capture_default_str();
  app.add_option("--steps", parsed.steps, "steps of a run")
      ->capture_default_str()
      ->check(whole_number(1, kMost));
  app.add_option("--warmup", parsed.warmup_steps, "first steps of a run that do not count")
      ->capture_default_str()
      ->check(whole_number(0, kMost));
  app.add_option("--repeat", parsed.repeats, "runs of every point")
      ->capture_default_str()
      ->check(whole_number(1, 1000));
  app.add_flag("--all", parsed.try_all,
               "also try the larger models of a family of which one ran out of memory");
  app.add_flag("--dry-run", parsed.dry_run, "print the points, their memory and time; run nothing");
  app.add_flag("--json", parsed.json,
               "print sweep.json at the end, all else on the standard error");
  return parse_arguments(app, arguments);
}

// The grids of the files, each with the axes of the flags, or the grid of the flags alone.
std::vector<Grid> collect_grids(const SweepArguments& arguments, Problems& problems) {
  std::vector<GridAxis> axes;
  const auto add = [&](const char* flag, const char* variable, const std::string& values) {
    if (values.empty()) return;
    axes.push_back({variable, expand_values(values, fmt::format("{} {}", flag, values), problems)});
  };
  add("--arch", "MODEL_ARCH", arguments.arch);
  add("--nlayers", "NLAYERS", arguments.layers);
  for (const std::string& text : arguments.settings) axes.push_back(parse_axis(text, problems));
  std::vector<Grid> grids;
  for (const std::string& file : arguments.files) {
    for (Grid& grid : read_grid_file(file, problems)) grids.push_back(std::move(grid));
  }
  if (grids.empty() && !axes.empty()) grids.emplace_back();
  for (Grid& grid : grids) grid.axes.insert(grid.axes.end(), axes.begin(), axes.end());
  if (!grids.empty() || problems.any()) return grids;
  throw Error(ErrorKind::kUsage, "there is nothing to sweep over",
              "give --arch, --nlayers, --set or --file; see `borealis sweep --help`");
}

// What is said of points while they run, and how long it will take.
class SweepReporter {
 public:
  SweepReporter(const SweepArguments& arguments, const SweepState& state)
      : state_(state),
        try_all_(arguments.try_all),
        out_(arguments.json ? stderr : stdout),
        terminal_(progress_on_stderr(state.steps, true)) {
    points_ = static_cast<size_t>(
        std::ranges::count_if(state.points, [](const SweepPoint& point) { return point.in_grid; }));
  }

  void progress(const RunProgress& run, const SweepClock& clock) {
    if (!terminal_.terminal) return;
    const SweepPoint& point = state_.points[run.point];
    const double share = static_cast<double>(run.steps) / static_cast<double>(state_.steps);
    const double done_s = clock.run_seconds(point).value_or(0) * share;
    std::string text =
        fmt::format("[{}/{}] {}  run {} of {}, step {} of {}{}", run.point + 1, points_, point.name,
                    run.repeat, state_.repeats, run.steps, state_.steps, time_left(clock, done_s));
    const auto room = static_cast<size_t>(std::max(1, terminal_.columns - 1));  // or it would wrap
    text.resize(std::min(text.size(), room));
    terminal_.sink(kEraseLine + text);
  }

  void point_settled(size_t index, const std::optional<Measurement>& measured,
                     const SweepClock& clock) {
    if (terminal_.terminal) terminal_.sink(kEraseLine);
    fmt::print(out_, "[{}/{}] {}{}\n", index + 1, points_,
               point_line(state_.points[index], measured), time_left(clock));
    std::fflush(out_);
  }

  std::FILE* out() const { return out_; }

 private:
  static constexpr const char* kEraseLine = "\r\x1b[2K";

  // done_s: of the run in progress.
  std::string time_left(const SweepClock& clock, double done_s = 0) const {
    const double seconds =
        clock.seconds_left(state_.points, state_.repeats, try_all_).value_or(0) - done_s;
    return seconds > 0 ? fmt::format(", {} left", format_duration(seconds)) : "";
  }

  const SweepState& state_;
  bool try_all_;
  std::FILE* out_;
  ProgressOptions terminal_;
  size_t points_ = 0;
};

// Of the first point that failed; 0 if none did.
int exit_code_of(const SweepState& state) {
  for (const SweepPoint& point : state.points) {
    if (point.in_grid && point.state == PointState::kFailed) return point.exit_code;
  }
  return 0;
}

// As a shell would split it; of what it may do besides, variables and file names are filled in.
std::vector<std::string> words_of(const std::string& command) {
  wordexp_t split{};
  const int code = ::wordexp(command.c_str(), &split, WRDE_NOCMD | WRDE_UNDEF);
  if (code != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--launch '{}' {}", printable(command),
                            code == WRDE_SYNTAX   ? "has a quote or a brace that does not end"
                            : code == WRDE_BADVAL ? "has a variable that is not set"
                                                  : "needs a shell"),
                "put it into a script, which runs \"$@\", and name that");
  }
  std::vector<std::string> words(split.we_wordv, split.we_wordv + split.we_wordc);
  ::wordfree(&split);
  return words;
}

bool has_results(const SweepState& state) {
  return std::ranges::any_of(state.points,
                             [](const SweepPoint& point) { return !point.runs.empty(); });
}

int sweep(const SweepArguments& arguments, const std::vector<std::string>& launcher,
          SweepState state, PointPlanner& planner) {
  const std::unique_ptr<FolderLock> lock =
      arguments.dry_run ? nullptr
                        : FolderLock::hold_alone(arguments.folder, "sweep",
                                                 "name another folder (--output), or wait for it");
  if (lock) remove_stale_partials(arguments.folder);
  if (const auto before = read_sweep_state(arguments.folder)) go_on_from(*before, state);
  SweepReporter reporter(arguments, state);
  const SweepRunner* running = nullptr;
  SweepRunner runner(
      state,
      {.folder = arguments.folder,
       .flags = arguments.flags,
       .launcher = launcher,
       .try_all = arguments.try_all},
      {.plan = [&](const SweepPoint& point) { return planner.plan(point); },
       .progress = [&](const RunProgress& run) { reporter.progress(run, running->clock()); },
       .point_settled =
           [&](size_t point, const std::optional<Measurement>& measured) {
             reporter.point_settled(point, measured, running->clock());
           }});
  running = &runner;
  if (arguments.dry_run) {
    fmt::print(reporter.out(), "{}", plan_table(state, runner.clock(), arguments.try_all));
    if (arguments.json) fmt::print("{}", sweep_state_json(state));
    return 0;
  }
  const std::string stopped_by = runner.run();
  if (stopped_by.empty()) fmt::print(reporter.out(), "\n{}", results_text(arguments.folder, state));
  if (has_results(state)) {
    fmt::print(reporter.out(), "report: {}\n", write_sweep_report(arguments.folder).string());
  }
  if (arguments.json) fmt::print("{}", sweep_state_json(state));
  if (stopped_by.empty()) return exit_code_of(state);
  fmt::print(stderr, "stopped by {}; the same command goes on\n", stopped_by);
  return signal_exit_code(stopped_by);
}

}  // namespace

int run_sweep_command(const std::vector<std::string>& arguments) {
  SweepArguments parsed;
  if (!parse_sweep_arguments(arguments, parsed)) return 0;
  use_all_processors();  // that points may have them
  if (parsed.warmup_steps >= parsed.steps) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--warmup {} leaves none of the {} steps to measure",
                            parsed.warmup_steps, parsed.steps),
                "raise --steps, or lower --warmup");
  }
  if (is_run_folder(parsed.folder)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--output {} is the folder of a run, whose report a sweep's would hide",
                            parsed.folder),
                "name another folder");
  }
  const std::vector<std::string> launcher = words_of(parsed.launcher);
  std::signal(SIGPIPE, SIG_IGN);  // whoever read the output may go away; the sweep has its files
  log_open(LogStream::kStderr, "INFO");
  PointPlanner planner({.flags = parsed.flags,
                        .steps = parsed.steps,
                        .cache_path = shared_cache_path(parsed.folder),
                        .needs_data = !parsed.dry_run});
  Problems problems;
  const std::vector<Grid> grids = collect_grids(parsed, problems);
  check_flags(parsed.flags, grids, problems);
  const std::vector<PointSettings> points = grid_points(grids, problems);
  if (problems.any()) problems.raise();
  try {
    SweepState state;
    state.created_at = date_time_text();
    state.steps = parsed.steps;
    state.warmup_steps = parsed.warmup_steps;
    state.repeats = parsed.repeats;
    state.points = planner.points(points);
    return sweep(parsed, launcher, std::move(state), planner);
  } catch (const HelpRequested& help) {
    fmt::print("{}", help.text);
    return 0;
  }
}

}  // namespace borealis
