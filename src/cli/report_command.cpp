#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/joint_report.h"
#include "cli/parse_arguments.h"
#include "config/tokenizer_lookup.h"
#include "publish/run_sources.h"
#include "report/report_audit.h"
#include "report/report_overlay.h"
#include "report/run_report.h"

namespace borealis {
namespace {

// Not a sweep's folder, nor one with runs beneath it.
bool is_single_run(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) && is_run_folder(path);
}

void report_run(const std::string& run_dir, const std::vector<std::string>& others, bool json) {
  RunResults results = read_run_results(run_dir);
  if (const std::string missing = missing_steps_text(results.summary, results.recorded_steps);
      !missing.empty()) {
    log_warning(fmt::format("{}: {}", run_dir, missing));
  }
  add_other_runs({others.begin(), others.end()}, results);
  const ReportPaths paths = write_run_report(results);
  const RunSummary& summary = results.summary;  // of a run that goes on, by its steps so far
  if (!json) {
    fmt::print("{}{}\n{}\n", results_table_markdown({summary}), paths.html.string(),
               paths.markdown.string());
    return;
  }
  const nlohmann::ordered_json run = {
      {"run_dir", run_dir},
      {"report_md", paths.markdown.string()},
      {"report_html", paths.html.string()},
      {"summary", nlohmann::ordered_json::parse(run_summary_json(summary))}};
  const nlohmann::ordered_json document = {{"runs", {run}}};
  fmt::print("{}\n", json_text(document, 2));
}

// An option that would change nothing is an error.
void refuse_useless(const CLI::App& app, const std::string& with,
                    const std::vector<std::string>& useless) {
  for (const std::string& option : useless) {
    if (app.count(option) == 0) continue;
    throw Error(ErrorKind::kUsage, fmt::format("{} changes nothing {}", option, with),
                "leave it out");
  }
}

// Exit code: 0 if the report is consistent, else that of wrong data.
int check_report(const std::string& file, bool json) {
  const PublishedReport report = parse_published_report(read_text_file(file), file);
  const auto vocab_size = known_vocab_size(report.tokenizer_model);
  const std::vector<AuditFinding> findings = audit_report(report, vocab_size);
  size_t runs = 0;
  for (const PublishedList& list : report.lists) runs += list.runs.size();
  const bool sizes_known =
      vocab_size || std::ranges::any_of(report.architectures, [](const auto& family) {
        return std::ranges::any_of(family.second, [](const PublishedArchitecture& one) {
          return one.values.contains("VOCAB_SIZE");
        });
      });
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const AuditFinding& one : findings) {
      list.push_back({{"kind", one.kind}, {"text", one.text}, {"lines", one.lines}});
    }
    const nlohmann::ordered_json document = {
        {"file", file}, {"rows", report.rows.size()}, {"raw_values", runs}, {"findings", list}};
    fmt::print("{}\n", json_text(document, 2));
  } else {
    fmt::print("{}: {} row{}, {} raw value{}\n", file, report.rows.size(),
               report.rows.size() == 1 ? "" : "s", runs, runs == 1 ? "" : "s");
    if (!sizes_known) {
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
      "Write the report of a run anew from the files in its folder (report.md, report.html), or, "
      "of several runs or a sweep, one performance report (also report.csv and report.json).",
      "borealis report");
  JointReportArguments joint;
  std::string checked_file;
  std::vector<std::string> compared;
  std::vector<std::string> others;
  double threshold_percent = 1;
  app.add_option("SOURCE", joint.sources,
                 "folder of a run (logs/<prefix>/<stamp>, or its --run-dir), of a sweep, a folder "
                 "with such folders in it, or the report.json of a performance report");
  app.add_option("--with", others,
                 "with one run as SOURCE: folders of up to nine other runs, whose curves are laid "
                 "over its own");
  app.add_option("--output", joint.output,
                 "folder of the performance report (default: a sweep's own, else logs/report)");
  app.add_option("--warmup", joint.warmup_steps,
                 "first steps of a run that do not count (default: as the sweep had it, else 1)")
      ->check(whole_number(0));
  app.add_option("--peak-tflops", joint.peak_tflops,
                 "peak of a rank's device by its maker, dense, in this data type: adds MFU")
      ->check(real_number(1e-9));
  app.add_option("--compare", compared,
                 "instead: BEFORE AFTER, two sources: which rows changed beyond noise")
      ->expected(2);
  app.add_option("--threshold", threshold_percent,
                 "with --compare: changes up to so many percent are none")
      ->check(real_number(0))
      ->capture_default_str();
  app.add_option("--check", checked_file,
                 "instead: list what a published report in Markdown contradicts itself in");
  app.add_flag("--json", joint.json, "print one JSON document instead of the table");
  if (!parse_arguments(app, arguments)) return 0;
  const int asked =
      (checked_file.empty() ? 0 : 1) + (compared.empty() ? 0 : 1) + (joint.sources.empty() ? 0 : 1);
  if (asked != 1) {
    throw Error(ErrorKind::kUsage,
                "report needs one of a SOURCE, --check FILE and --compare BEFORE AFTER",
                "name the folder of a run: logs/<prefix>/<stamp>, or its --run-dir");
  }
  const bool one_run =
      joint.sources.size() == 1 && joint.output.empty() && is_single_run(joint.sources.front());
  if (!others.empty() && !one_run) {
    throw Error(ErrorKind::kUsage, "--with lays other runs over the report of one run",
                "name the folder of one run as SOURCE, without --output; several SOURCEs make a "
                "performance report");
  }
  if (!checked_file.empty()) {
    refuse_useless(app, "with --check", {"--output", "--warmup", "--peak-tflops", "--threshold"});
  } else if (!compared.empty()) {
    refuse_useless(app, "with --compare", {"--output", "--peak-tflops"});
  } else {
    refuse_useless(app, "without --compare", {"--threshold"});
  }
  if (one_run) {
    refuse_useless(app,
                   "in the report of one run; with --output DIR a performance report is made of it",
                   {"--warmup", "--peak-tflops"});
  }
  log_open(LogStream::kStderr, "INFO");
  if (!checked_file.empty()) return check_report(checked_file, joint.json);
  if (!compared.empty()) {
    compare_sources(compared[0], compared[1], joint.warmup_steps, threshold_percent * 1e-2,
                    joint.json);
  } else if (one_run) {
    report_run(joint.sources.front(), others, joint.json);
  } else {
    joint_report(joint);
  }
  return 0;
}

}  // namespace borealis
