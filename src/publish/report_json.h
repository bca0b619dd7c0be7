// report.json: a performance report with its raw data, as a file that comes back.
#pragma once

#include <string>

#include "publish/performance_report.h"

namespace borealis {

inline constexpr const char* kReportJsonName = "report.json";

std::string performance_json(const PerformanceReport& report);
// The runs and memory ends of one. Throws Error(kData) for what is no such document; `name`: of the
// file.
ReportSources parse_performance_json(const std::string& text, const std::string& name);

}  // namespace borealis
