// Any text as a published report: it is read and audited, or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "report/report_audit.h"

namespace borealis {
namespace {

void audit(std::string_view text) {
  try {
    const PublishedReport report = parse_published_report(text, "r.md");
    CHECK(!report.rows.empty());
    for (const AuditFinding& one : audit_report(report, 1000)) {
      CHECK(!one.kind.empty() && !one.text.empty());
    }
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::audit({reinterpret_cast<const char*>(data), size});
  return 0;
}
