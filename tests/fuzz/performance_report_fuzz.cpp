// Any text as the report.json of a performance report: it comes back and is reported again, or an
// Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "publish/comparison.h"
#include "publish/report_files.h"
#include "publish/report_json.h"

namespace borealis {
namespace {

void report(std::string_view text) {
  try {
    ReportSources sources = parse_performance_json(std::string(text), "report.json");
    if (sources.runs.empty()) return;
    const PerformanceReport made = make_performance_report(std::move(sources), {}, "0");
    CHECK(!made.rows.empty());
    CHECK(render_performance_html(made).find("<script") == std::string::npos);
    CHECK(!render_performance_markdown(made).empty() && !performance_csv(made).empty());
    CHECK(compare_reports(made, made, 0.01).rows.size() == made.rows.size());
    const std::string written = performance_json(made);
    CHECK(!parse_performance_json(written, "report.json").runs.empty());
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::report({reinterpret_cast<const char*>(data), size});
  return 0;
}
