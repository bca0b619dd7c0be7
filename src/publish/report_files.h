// A performance report as files: report.md with its drawings, report.html (self-contained),
// report.csv (a row a line) and report.json (everything, with the raw data: it can be read back).
#pragma once

#include <filesystem>
#include <string>

#include "publish/performance_report.h"

namespace borealis {

std::string render_performance_markdown(const PerformanceReport& report);
std::string render_performance_html(const PerformanceReport& report);
// One line a row, and one a configuration that memory did not suffice for; numbers in full.
std::string performance_csv(const PerformanceReport& report);

struct PerformanceReportPaths {
  std::filesystem::path markdown, html, csv, json;
};
// Throws Error(kFile).
PerformanceReportPaths write_performance_report(const PerformanceReport& report,
                                                const std::filesystem::path& folder);

}  // namespace borealis
