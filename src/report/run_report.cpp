#include "report/run_report.h"

#include <fmt/format.h>

#include <limits>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "report/report_content.h"
#include "report/report_profile.h"
#include "telemetry/metrics_file.h"

namespace borealis {
namespace {

constexpr PlotSize kPlotFileSize{880, 350};

std::string optional_text_file(const std::filesystem::path& path) {
  return std::filesystem::exists(path) ? read_text_file(path) : "";
}

// The machine's rate as the step knew it.
double gemm_tflops_of(const StepRecord& step) {
  return step.gemm_share > 0 ? step.tflops / step.gemm_share
                             : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

void take_steps(const StepSeries& series, RunResults& results) {
  CHECK(!series.empty());
  results.steps = series.steps();
  results.step_stride = series.stride();
  results.recorded_steps = series.count();
  if (!results.summary.stopped_by.empty()) return;
  summarize_steps(series, results.summary);
  results.summary.gemm_tflops = gemm_tflops_of(results.steps.back());
}

RunResults read_run_results(const std::filesystem::path& run_dir) {
  if (!std::filesystem::is_directory(run_dir)) {
    throw Error(ErrorKind::kFile, fmt::format("{} is not a folder", run_dir.string()),
                "name the folder of a run, such as logs/<prefix>/<stamp>");
  }
  RunResults results;
  results.run_dir = run_dir;
  results.summary = read_run_summary(run_dir);
  const StepSeries series = read_metrics(run_dir);
  if (series.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} holds no step", (run_dir / kMetricsFileName).string()),
                "a report needs a run of at least one step");
  }
  results.is_running = results.summary.stopped_by.empty() && FolderLock::is_held(run_dir);
  take_steps(series, results);
  results.validations = read_validation(run_dir);
  results.profile = read_step_profile(run_dir);
  results.test = read_test(run_dir);
  results.config_json = optional_text_file(run_dir / "config.json");
  const std::string sample = optional_text_file(run_dir / "sample.txt");
  if (!sample.empty()) results.summary.sample_text = sample;
  return results;
}

ReportPaths write_run_report(const std::filesystem::path& run_dir) {
  return write_run_report(read_run_results(run_dir));
}

ReportPaths write_run_report(const RunResults& results) {
  const std::filesystem::path& run_dir = results.run_dir;
  const ReportPaths paths{run_dir / "report.md", run_dir / "report.html"};
  std::vector<FileText> files = {
      {run_dir / "loss.svg", render_plot(loss_plot(results), kPlotFileSize, true)}};
  if (results.profile) {
    files.push_back({run_dir / "roofline.svg",
                     render_plot(roofline_plot(*results.profile), kPlotFileSize, true)});
  }
  files.push_back({paths.markdown, render_report_markdown(results)});
  files.push_back({paths.html, render_report_html(results)});
  write_files_atomically(files);
  return paths;
}

}  // namespace borealis
