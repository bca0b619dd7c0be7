#include "publish/report_files.h"

#include "base/file.h"
#include "publish/report_json.h"
#include "publish/report_plots.h"

namespace borealis {
namespace {

constexpr PlotSize kPlotFileSize{880, 350};

}  // namespace

PerformanceReportPaths write_performance_report(const PerformanceReport& report,
                                                const std::filesystem::path& folder) {
  borealis::create_directories(folder);
  std::vector<FileText> files;
  const auto add_drawing = [&](const PlotSpec& plot) {
    files.push_back({folder / (plot.id + ".svg"), render_plot(plot, kPlotFileSize, true)});
  };
  for (const PlotSpec& plot :
       {tflops_plot(report), rate_plot(report), memory_plot(report), loss_plot(report)}) {
    add_drawing(plot);
  }
  if (const auto scaling = scaling_plot(report)) add_drawing(*scaling);
  const PerformanceReportPaths paths{folder / "report.md", folder / "report.html",
                                     folder / "report.csv", folder / kReportJsonName};
  files.push_back({paths.json, performance_json(report)});
  files.push_back({paths.csv, performance_csv(report)});
  files.push_back({paths.markdown, render_performance_markdown(report)});
  files.push_back({paths.html, render_performance_html(report)});
  write_files_atomically(files);
  return paths;
}

}  // namespace borealis
