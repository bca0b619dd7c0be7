#include "cli/joint_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/program_version.h"
#include "publish/comparison.h"
#include "publish/report_files.h"
#include "publish/report_json.h"
#include "publish/report_tables.h"
#include "publish/run_sources.h"
#include "sweep/sweep_state.h"
#include "sweep/sweep_text.h"
#include "telemetry/run_summary.h"

namespace borealis {
namespace {

PerformanceReport report_of(const std::vector<std::string>& sources,
                            std::optional<int64_t> warmup_steps,
                            std::optional<double> peak_tflops) {
  const SourceOptions options{.warmup_steps = warmup_steps,
                              .warn = [](const std::string& text) { log_warning(text); }};
  return make_performance_report(collect_runs({sources.begin(), sources.end()}, options),
                                 peak_tflops, program_version());
}

std::filesystem::path output_of(const JointReportArguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  const std::filesystem::path only = arguments.sources.front();
  const bool is_sweep = std::filesystem::exists(only / kSweepFileName);
  return arguments.sources.size() == 1 && is_sweep ? only : "logs/report";
}

// A report of its own lies in a run's folder, and in a sweep's.
void refuse_folder_of_others(const JointReportArguments& arguments,
                             const std::filesystem::path& output) {
  std::error_code unknown;
  const bool is_own = arguments.sources.size() == 1 &&
                      std::filesystem::equivalent(arguments.sources.front(), output, unknown);
  const bool is_sweep = std::filesystem::exists(output / kSweepFileName);
  if (!is_run_folder(output) && (!is_sweep || is_own)) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("--output {} is the folder of a {}, whose own report this would replace",
                          output.string(), is_sweep ? "sweep" : "run"),
              "name another folder");
}

// Everything but the steps: those are in the file.
void print_json(const PerformanceReport& report, const PerformanceReportPaths& paths) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(performance_json(report));
  json.erase("runs");
  json["report_md"] = paths.markdown.string();
  json["report_html"] = paths.html.string();
  json["report_csv"] = paths.csv.string();
  json["report_json"] = paths.json.string();
  fmt::print("{}\n", json_text(json, 2));
}

void print_aligned(const ReportTable& table) {
  std::vector<std::vector<std::string>> rows = {table.header};
  for (const std::vector<std::string>& row : table.rows) {
    std::vector<std::string> cells;
    for (const std::string& cell : row) cells.push_back(printable(cell));
    rows.push_back(std::move(cells));
  }
  fmt::print("{}", aligned_table(rows));
}

void print_text(const PerformanceReport& report, const PerformanceReportPaths& paths) {
  print_aligned(performance_table(report));
  if (const std::string end = memory_end_sentence(report); !end.empty()) {
    fmt::print("{}\n", printable(end));
  }
  fmt::print("{}\n", checks_sentence(report));
  for (const Disagreement& one : report.disagreements) {
    fmt::print("  {}: {}\n", printable(one.source), printable(one.text));
  }
  for (const auto& path : {paths.html, paths.markdown, paths.csv, paths.json}) {
    fmt::print("{}\n", printable(path.string()));
  }
}

}  // namespace

void joint_report(const JointReportArguments& arguments) {
  const std::filesystem::path output = output_of(arguments);
  refuse_folder_of_others(arguments, output);
  const PerformanceReport report =
      report_of(arguments.sources, arguments.warmup_steps, arguments.peak_tflops);
  const PerformanceReportPaths paths = write_performance_report(report, output);
  arguments.json ? print_json(report, paths) : print_text(report, paths);
}

void compare_sources(const std::string& before, const std::string& after,
                     std::optional<int64_t> warmup_steps, double threshold, bool json) {
  const Comparison comparison = compare_reports(report_of({before}, warmup_steps, {}),
                                                report_of({after}, warmup_steps, {}), threshold);
  if (json) {
    fmt::print("{}", comparison_json(comparison));
    return;
  }
  if (!comparison.rows.empty()) print_aligned(comparison_table(comparison));
  const auto tell = [](const char* where, const std::vector<std::string>& names) {
    if (!names.empty()) {
      fmt::print("only {}: {}\n", where, printable(fmt::format("{}", fmt::join(names, "; "))));
    }
  };
  tell("before", comparison.only_before);
  tell("after", comparison.only_after);
  fmt::print(
      "a row changed where the 99 % interval of the change does not hold 0 and it is more than "
      "{:.3g} %\n",
      100 * threshold);
}

std::filesystem::path write_sweep_report(const std::filesystem::path& sweep_folder) {
  const PerformanceReport report = report_of({sweep_folder.string()}, {}, {});
  return write_performance_report(report, sweep_folder).html;
}

}  // namespace borealis
