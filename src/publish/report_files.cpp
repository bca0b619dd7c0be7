#include "publish/report_files.h"

#include "base/file.h"
#include "publish/report_json.h"
#include "publish/report_plots.h"

namespace borealis {
namespace {

constexpr PlotSize kPlotFileSize{880, 350};

void write_drawing(const PlotSpec& plot, const std::filesystem::path& folder) {
  write_file_atomically(folder / (plot.id + ".svg"), render_plot(plot, kPlotFileSize, true));
}

}  // namespace

PerformanceReportPaths write_performance_report(const PerformanceReport& report,
                                                const std::filesystem::path& folder) {
  borealis::create_directories(folder);
  for (const PlotSpec& plot :
       {tflops_plot(report), rate_plot(report), memory_plot(report), loss_plot(report)}) {
    write_drawing(plot, folder);
  }
  if (const auto scaling = scaling_plot(report)) write_drawing(*scaling, folder);
  const PerformanceReportPaths paths{folder / "report.md", folder / "report.html",
                                     folder / "report.csv", folder / kReportJsonName};
  write_file_atomically(paths.json, performance_json(report));
  write_file_atomically(paths.csv, performance_csv(report));
  write_file_atomically(paths.markdown, render_performance_markdown(report));
  write_file_atomically(paths.html, render_performance_html(report));
  return paths;
}

}  // namespace borealis
