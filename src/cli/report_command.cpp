#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "config/tokenizer_lookup.h"
#include "report/report_audit.h"
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
  fmt::print("{}\n", json_text(document, 2));
}

void print_table(const std::vector<WrittenReport>& reports) {
  std::vector<RunSummary> summaries;
  for (const WrittenReport& report : reports) summaries.push_back(report.summary);
  fmt::print("{}", results_table_markdown(summaries));
  for (const WrittenReport& report : reports) {
    fmt::print("{}\n{}\n", report.paths.html.string(), report.paths.markdown.string());
  }
}

// Exit code: 0 if the report is consistent, else that of wrong data.
int check_report(const std::string& file, bool json) {
  const PublishedReport report = parse_published_report(read_text_file(file), file);
  const auto vocab_size = known_vocab_size(report.tokenizer_model);
  const std::vector<AuditFinding> findings = audit_report(report, vocab_size);
  size_t runs = 0;
  for (const PublishedList& list : report.lists) runs += list.runs.size();
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const AuditFinding& one : findings) {
      list.push_back({{"kind", one.kind}, {"text", one.text}, {"lines", one.lines}});
    }
    const nlohmann::ordered_json document = {
        {"file", file}, {"rows", report.rows.size()}, {"raw_values", runs}, {"findings", list}};
    fmt::print("{}\n", json_text(document, 2));
  } else {
    fmt::print("{}: {} rows, {} raw values\n", file, report.rows.size(), runs);
    if (!vocab_size) {
      fmt::print(
          "  sizes and formulas are not checked: the vocabulary of TOKENIZER_MODEL={} is not "
          "known\n",
          report.tokenizer_model);
    }
    for (const AuditFinding& one : findings) {
      fmt::print("  {}: {}", one.kind, printable(one.text));
      if (!one.lines.empty()) {
        fmt::print(" (line{} {})", one.lines.size() == 1 ? "" : "s", fmt::join(one.lines, ", "));
      }
      fmt::print("\n");
    }
    if (findings.empty()) fmt::print("  nothing contradicts anything\n");
  }
  return findings.empty() ? 0 : error_exit_code(ErrorKind::kData);
}

}  // namespace

int run_report_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Write report.md and report.html of finished runs anew, from the files in their "
      "folders, and print their results as one table.",
      "borealis report");
  std::vector<std::string> run_dirs;
  std::string checked_file;
  bool json = false;
  app.add_option("--check", checked_file,
                 "instead: list what a published report in Markdown contradicts itself in");
  app.add_option("RUN_DIR", run_dirs, "folder of a run: logs/<prefix>/<stamp>, or its --run-dir");
  app.add_flag("--json", json, "print one JSON document instead of the table");
  if (!parse_arguments(app, arguments)) return 0;
  if (checked_file.empty() == run_dirs.empty()) {
    throw Error(ErrorKind::kUsage, "report needs a RUN_DIR or --check FILE",
                "name the folder of a run: logs/<prefix>/<stamp>, or its --run-dir");
  }
  if (!checked_file.empty()) return check_report(checked_file, json);
  std::vector<WrittenReport> reports;
  for (const std::string& run_dir : run_dirs) {
    reports.push_back({run_dir, write_run_report(run_dir), read_run_summary(run_dir)});
  }
  json ? print_json(reports) : print_table(reports);
  return 0;
}

}  // namespace borealis
