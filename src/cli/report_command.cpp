#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "report/run_report.h"

namespace borealis {
namespace {

struct WrittenReport {
  std::string run_dir;
  ReportPaths paths;
  RunSummary summary;
};

void print_json(const std::vector<WrittenReport>& reports) {
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const WrittenReport& report : reports) {
    runs.push_back({{"run_dir", report.run_dir},
                    {"report_md", report.paths.markdown.string()},
                    {"report_html", report.paths.html.string()},
                    {"summary", nlohmann::ordered_json::parse(run_summary_json(report.summary))}});
  }
  const nlohmann::ordered_json document = {{"runs", runs}};
  fmt::print("{}\n",
             document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_table(const std::vector<WrittenReport>& reports) {
  std::vector<RunSummary> summaries;
  for (const WrittenReport& report : reports) summaries.push_back(report.summary);
  fmt::print("{}", results_table_markdown(summaries));
  for (const WrittenReport& report : reports) {
    fmt::print("{}\n{}\n", report.paths.html.string(), report.paths.markdown.string());
  }
}

}  // namespace

int run_report_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Write report.md and report.html of finished runs anew, from the files in their "
      "folders, and print their results as one table.",
      "borealis report");
  std::vector<std::string> run_dirs;
  bool json = false;
  app.add_option("RUN_DIR", run_dirs, "folder of a run: logs/<prefix>/<stamp>, or its --run-dir")
      ->required();
  app.add_flag("--json", json, "print one JSON document instead of the table");
  if (!parse_arguments(app, arguments)) return 0;
  std::vector<WrittenReport> reports;
  for (const std::string& run_dir : run_dirs) {
    reports.push_back({run_dir, write_run_report(run_dir), read_run_summary(run_dir)});
  }
  json ? print_json(reports) : print_table(reports);
  return 0;
}

}  // namespace borealis
