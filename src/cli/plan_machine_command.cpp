#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/text.h"
#include "cli/calibration_input.h"
#include "cli/parse_arguments.h"
#include "cli/plan_machine.h"
#include "cli/run_setup.h"
#include "config/run_config_loader.h"
#include "model/accounting.h"
#include "planner/machine_plan.h"
#include "sweep/point_command.h"
#include "sweep/sweep_text.h"

namespace borealis {
namespace {

struct MachineArguments {
  std::string machine;
  std::vector<std::string> calibrate;
  std::string output;
  std::string arch;
  std::string layers;
  std::vector<std::string> settings;
  std::string hosts;           // none: one
  int64_t ranks_per_host = 0;  // 0: the machine's
  std::string tokens;
  bool json = false;
  std::vector<std::string> flags;  // of the run
};

constexpr int64_t kMostRanksPerHost = 4096;
constexpr std::array kOwnFlags = {"--machine", "--calibrate",      "--arch",   "--nlayers",
                                  "--hosts",   "--ranks-per-host", "--tokens", "--output"};

void add_options(CLI::App& app, MachineArguments& parsed) {
  app.add_option("--machine", parsed.machine,
                 "machine to plan for: a name of machines/ (aurora-pvc-tile, h100-80g) or a file");
  app.add_option("--arch", parsed.arch, "values of MODEL_ARCH: A,B,...");
  app.add_option("--nlayers", parsed.layers, "values of NLAYERS: FIRST:LAST:STEP or 4,8,...");
  app.add_option("--set", parsed.settings, "VARIABLE=value,value,...; several times")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--hosts", parsed.hosts, "numbers of hosts: 2, or 1,2,4,8; default: 1");
  app.add_option("--ranks-per-host", parsed.ranks_per_host,
                 "default: NGPU_PER_HOST, else the machine's")
      ->check(whole_number(1, kMostRanksPerHost));
  app.add_option("--tokens", parsed.tokens,
                 "tokens to train on, such as 300B: time and node hours to that");
  app.add_option(
         "--calibrate", parsed.calibrate,
         "instead: fit a machine to run folders, sweeps, a published report or a .csv, with "
         "links of what doctor --json printed")
      ->expected(1, 10000);
  app.add_option("--output", parsed.output, "with --calibrate: where the machine file goes");
  app.add_flag("--json", parsed.json, "print one JSON document");
}

constexpr const char* kAbout =
    "Plan for a machine that need not be this one: rates, memory, time and node hours, each with "
    "what stands behind it (docs/planner.md). Other flags and variables are the run's, as in\n"
    "  borealis plan --machine aurora-pvc-tile --arch llama3-3B,smollm3-3B --nlayers 4:16:2 "
    "--hosts 2";

// "300B", "4.67T", "1e12": tokens.
double parse_tokens(const std::string& text) {
  double value = 0;
  const char* last = text.data() + text.size();
  const auto [end, code] = std::from_chars(text.data(), last, value);
  constexpr std::array<std::pair<char, double>, 4> kUnits = {
      {{'K', 1e3}, {'M', 1e6}, {'B', 1e9}, {'T', 1e12}}};
  bool good = code == std::errc();
  if (good && end != last) {
    const auto unit = std::ranges::find(kUnits, *end, &std::pair<char, double>::first);
    good = unit != kUnits.end() && end + 1 == last;
    if (good) value *= unit->second;
  }
  if (good && value >= 1 && value < 1e18) return value;
  throw Error(ErrorKind::kUsage, fmt::format("--tokens {} is no number of tokens", text),
              "write it as 300B, 4.67T or 1e12");
}

std::vector<int64_t> parse_hosts(const std::string& text, Problems& problems) {
  if (text.empty()) return {1};
  std::vector<int64_t> hosts;
  for (const std::string& value : expand_values(text, "--hosts " + text, problems)) {
    const std::optional<int64_t> number = whole_number(value);
    constexpr int64_t kMost = 100'000;
    if (!number || *number < 1 || *number > kMost) {
      problems.settings.push_back(
          fmt::format("--hosts {}: {} is not a whole number of 1 to {}", text, value, kMost));
      continue;
    }
    hosts.push_back(*number);
  }
  return hosts;
}

constexpr const char* kRanks = "WORLD_SIZE";
constexpr const char* kRanksPerHost = "NGPU_PER_HOST";

// Variables of ranks that are started; those of a plan are described.
void check_ranks_of_grid(const MachineArguments& arguments, const Grid& grid, Problems& problems) {
  for (const GridAxis& axis : grid.axes) {
    for (const char* variable : {kRanks, "HOSTFILE", "PBS_NODEFILE"}) {
      if (axis.variable != variable) continue;
      problems.settings.push_back(
          fmt::format("{} cannot vary: --hosts and --ranks-per-host say the ranks of a plan for a "
                      "machine",
                      variable));
    }
    if (axis.variable != kRanksPerHost || arguments.ranks_per_host == 0) continue;
    problems.settings.push_back(
        fmt::format("--ranks-per-host would set {} for all points, which the grid varies; give one "
                    "of them",
                    kRanksPerHost));
  }
}

std::vector<PointSettings> points_of(const MachineArguments& arguments, Problems& problems) {
  Grid grid;
  const auto add = [&](const char* flag, const char* variable, const std::string& values) {
    if (values.empty()) return;
    grid.axes.push_back(
        {variable, expand_values(values, fmt::format("{} {}", flag, values), problems)});
  };
  add("--arch", "MODEL_ARCH", arguments.arch);
  add("--nlayers", "NLAYERS", arguments.layers);
  for (const std::string& text : arguments.settings) {
    grid.axes.push_back(parse_axis(text, problems));
  }
  check_flags_of_grid(arguments.flags, {grid}, problems);
  check_ranks_of_grid(arguments, grid, problems);
  if (grid.axes.empty()) return {PointSettings()};  // what environment and flags say
  return grid_points({grid}, problems);
}

// environment: of a point.
int64_t ranks_per_host_of(const MachineArguments& arguments, const MachineModel& machine,
                          const Environment& environment) {
  if (arguments.ranks_per_host > 0) return arguments.ranks_per_host;
  const std::optional<std::string> text = set_value(environment, kRanksPerHost);
  if (!text) return machine.ranks_per_host;
  const std::optional<int64_t> ranks = whole_number(*text);
  if (ranks && *ranks >= 1 && *ranks <= kMostRanksPerHost) return *ranks;
  throw Error(
      ErrorKind::kConfig,
      fmt::format("{}={} is no number of ranks, 1 to {}", kRanksPerHost, *text, kMostRanksPerHost),
      "correct or unset it, or give --ranks-per-host");
}

// Of other ranks than those that are planned the variable would be ignored.
void require_ranks(const Environment& environment, int64_t hosts, int64_t ranks_per_host) {
  const std::optional<std::string> text = set_value(environment, kRanks);
  if (!text || *text == std::to_string(hosts * ranks_per_host)) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("{}={}, but {} host{} of {} rank{} make {}", kRanks, *text, hosts,
                          hosts == 1 ? "" : "s", ranks_per_host, ranks_per_host == 1 ? "" : "s",
                          hosts * ranks_per_host),
              fmt::format("unset {}: --hosts and --ranks-per-host say the ranks of a plan for a "
                          "machine",
                          kRanks));
}

struct PlannedPoints {
  std::vector<MachinePoint> points;
  std::vector<std::string> warnings;  // of their configurations, each once

  void warn(const std::string& warning) {
    if (std::ranges::find(warnings, warning) == warnings.end()) warnings.push_back(warning);
  }
};

PlannedPoints plan_points(const MachineArguments& arguments, const MachineModel& machine) {
  Problems problems;
  const std::vector<PointSettings> settings = points_of(arguments, problems);
  const std::vector<int64_t> hosts = parse_hosts(arguments.hosts, problems);
  if (problems.any()) problems.raise();
  std::optional<double> tokens;
  if (!arguments.tokens.empty()) tokens = parse_tokens(arguments.tokens);
  const Environment process = process_environment();
  const Environment environment = without_launch(process);
  PlannedPoints planned;
  for (const PointSettings& point : settings) {
    const std::vector<EnvironmentChange> changes = point_environment(point, environment, "");
    const int64_t ranks_per_host =
        ranks_per_host_of(arguments, machine, with_changes(process, changes));
    for (const int64_t on_hosts : hosts) {
      require_ranks(process, on_hosts, ranks_per_host);
      LoadOptions options;
      options.command = "plan";
      options.needs_data = false;
      options.world_size = on_hosts * ranks_per_host;
      options.hosts = on_hosts;
      options.ranks_per_host = ranks_per_host;
      const RunConfig config =
          load_run_config(with_changes(environment, changes), arguments.flags, options);
      const int threads = prepare_machine(config.machine);
      planned.points.push_back(
          plan_point(config, machine, on_hosts, ranks_per_host, tokens, threads));
      planned.points.back().settings = other_settings(point);
      for (const std::string& warning : config.warnings) planned.warn(warning);
    }
    if (arguments.ranks_per_host == 0 && set_value(process, kRanksPerHost) &&
        std::ranges::find(changes, kRanksPerHost, &EnvironmentChange::first) == changes.end()) {
      planned.warn(fmt::format("{} ranks a host, as the environment's {} says; {} has {}",
                               ranks_per_host, kRanksPerHost, machine.name,
                               machine.ranks_per_host));
    }
  }
  return planned;
}

// Names of models and runs may hold any bytes.
std::string table_text(std::vector<std::vector<std::string>> table) {
  for (std::vector<std::string>& row : table) {
    for (std::string& cell : row) cell = printable(cell);
  }
  return aligned_table(table);
}

int plan_machine(const MachineArguments& arguments, const MachineModel& machine) {
  const PlannedPoints planned = plan_points(arguments, machine);
  if (arguments.json) {
    fmt::print("{}\n", machine_plan_json(machine, planned.points));
    return 0;
  }
  for (const std::string& line : machine_lines(machine)) fmt::print("{}\n", printable(line));
  fmt::print("\n{}\n", table_text(point_table(planned.points)));
  for (const std::string& line : memory_end_lines(planned.points)) {
    fmt::print("{}\n", printable(line));
  }
  fmt::print("+- is two standard deviations; GPU = rank; TFLOPs by the {}\n", kFlopsFormulaName);
  for (const std::string& warning : planned.warnings) fmt::print("note: {}\n", printable(warning));
  return 0;
}

int calibrate_machine(const MachineArguments& arguments, const std::string& home) {
  if (!arguments.flags.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is not for --calibrate", arguments.flags.front()),
                "see `borealis plan --calibrate X --help`");
  }
  for (const auto& [flag, is_given] :
       {std::pair("--tokens", !arguments.tokens.empty()),
        std::pair("--arch", !arguments.arch.empty()),
        std::pair("--nlayers", !arguments.layers.empty()),
        std::pair("--set", !arguments.settings.empty()),
        std::pair("--hosts", !arguments.hosts.empty()),
        std::pair("--ranks-per-host", arguments.ranks_per_host > 0)}) {
    if (!is_given) continue;
    throw Error(ErrorKind::kUsage, fmt::format("{} is not for --calibrate", flag),
                "plan with it once the machine file is there");
  }
  std::optional<MachineModel> base;
  if (!arguments.machine.empty()) base = find_machine(arguments.machine, home);
  const CalibrationInput input = read_calibration_input(arguments.calibrate, base);
  if (input.steps.empty()) {
    throw Error(ErrorKind::kUsage, "--calibrate has no measured steps",
                "name folders of runs besides what doctor printed");
  }
  MachineModel machine = base ? *base : *input.machine;
  take_measured_links(input.links, machine.links);
  for (const MeasuredLinks& links : input.links) {
    machine.provenance += fmt::format("; links {} as {} measured them",
                                      links.hosts == 1 ? "within a host" : "between hosts",
                                      std::filesystem::path(links.file).filename().string());
  }
  machine.calibration = calibrate(machine, input.steps, input.source);
  if (!arguments.output.empty()) {
    machine.name = std::filesystem::path(arguments.output).stem().string();
    write_file_atomically(arguments.output, machine_json(machine));
  } else if (machine.name.empty()) {
    machine.name = "this machine";
  }
  if (arguments.json) {
    fmt::print("{}", machine_json(machine));
    return 0;
  }
  for (const std::string& line : machine_lines(machine)) fmt::print("{}\n", printable(line));
  fmt::print("\n{}\n", table_text(residual_table(*machine.calibration)));
  for (const std::string& line : constant_lines(machine)) fmt::print("{}\n", line);
  if (!arguments.output.empty()) fmt::print("\n{}\n", printable(arguments.output));
  return 0;
}

}  // namespace

bool is_machine_plan(const std::vector<std::string>& arguments) {
  return std::ranges::any_of(arguments, [](const std::string& argument) {
    const std::string flag = argument.substr(0, argument.find('='));
    return std::ranges::find(kOwnFlags, flag) != kOwnFlags.end();
  });
}

std::string machine_plan_help() {
  CLI::App app(kAbout, "borealis plan");
  MachineArguments parsed;
  add_options(app, parsed);
  return app.help();
}

int run_machine_plan(const std::vector<std::string>& arguments) {
  CLI::App app(kAbout, "borealis plan");
  MachineArguments parsed;
  add_options(app, parsed);
  app.allow_extras();
  if (!parse_arguments(app, arguments)) return 0;
  parsed.flags = app.remaining();
  log_open(LogStream::kStderr, "WARNING");
  const std::string home = process_environment()("BOREALIS_HOME").value_or("");
  if (!parsed.calibrate.empty()) return calibrate_machine(parsed, home);
  if (!parsed.output.empty()) {
    throw Error(ErrorKind::kUsage, "--output is for --calibrate",
                "leave it out, or redirect the output of --json");
  }
  if (parsed.machine.empty()) {
    throw Error(ErrorKind::kUsage,
                "--hosts, --ranks-per-host, --tokens, --arch and --nlayers need --machine",
                "give a machine's name, such as aurora-pvc-tile, or the path of a machine file "
                "(docs/planner.md)");
  }
  return plan_machine(parsed, find_machine(parsed.machine, home));
}

}  // namespace borealis
