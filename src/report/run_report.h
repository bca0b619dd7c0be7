// The report of one run: report.md and report.html (self-contained: inline SVG, and a script of its
// own without which it is complete), with loss.svg and roofline.svg beside them for the Markdown,
// made from the files that the run left in its folder, or while it goes on.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "telemetry/run_summary.h"
#include "telemetry/step_profile.h"
#include "telemetry/step_record.h"

namespace borealis {

// Another run, whose curves are laid over those of the report's (report_overlay.h).
struct OtherRun {
  std::string label;
  RunSummary summary;
  std::vector<StepRecord> steps;  // at least one
};

// All that a report is made of.
struct RunResults {
  RunSummary summary;
  std::vector<StepRecord> steps;              // at least one; of a long run a StepSeries'
  int64_t step_stride = 1;                    // of those that do not stand out
  int64_t recorded_steps = 0;                 // that metrics.jsonl has
  bool is_running = false;                    // another process works on it
  std::vector<ValidationRecord> validations;  // may be empty
  std::optional<ValidationRecord> test;       // on the test split, after the last step
  std::string config_json;                    // config.json as it stands; empty if there is none
  std::optional<StepProfile> profile;         // of a run with --profile
  std::filesystem::path run_dir;
  std::vector<OtherRun> others;
};

// Reads summary.json, metrics.jsonl, and where they exist validation.jsonl, test.jsonl,
// config.json, profile.json and sample.txt (which, if there, replaces the sample of summary.json).
// Error(kFile) or Error(kData) names the file that is missing or broken.
RunResults read_run_results(const std::filesystem::path& run_dir);

// Takes the steps, and of a run that has not ended by itself the figures of its summary that follow
// from them. Requires at least one step (CHECK).
void take_steps(const StepSeries& series, RunResults& results);

struct ReportPaths {
  std::filesystem::path markdown;
  std::filesystem::path html;
};
// Writes the report of the run in `run_dir` into it. Errors as read_run_results.
ReportPaths write_run_report(const std::filesystem::path& run_dir);
// The same of results that were read, into results.run_dir. The files appear together: all on the
// disk before the first replaces what was there.
ReportPaths write_run_report(const RunResults& results);

std::string render_report_html(const RunResults& results);
std::string render_report_markdown(const RunResults& results);

// The performance report's table, "model-arch | nlayers | model size (B) | tpgps | TFLOPs", one row
// a run, in Markdown.
std::string results_table_markdown(const std::vector<RunSummary>& runs);

}  // namespace borealis
