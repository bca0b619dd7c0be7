#include <fmt/format.h>

#include <algorithm>

#include "report/audit_parts.h"

namespace borealis {
namespace {

class RangeAudit {
 public:
  RangeAudit(const AuditInput& input, std::vector<AuditFinding>& findings)
      : input_(input), findings_(findings) {}

  void check(const char* name, size_t row, const PublishedNumber& median,
             const std::optional<PublishedRange>& range, PublishedQuantity quantity) {
    if (!range || !median.is_known()) return;
    const std::string of = fmt::format("{} of {}", name, input_.report.rows[row].name());
    const auto& [low, high] = *range;
    if (!low.is_known() || !high.is_known()) {
      find(fmt::format("min to max of {} is no range: {}", of, low.text), median.line);
    } else if (low.value > high.value) {
      find(fmt::format("min of {} is {}, more than its max {}", of, low.text, high.text),
           median.line);
    } else if (median.value < low.value || median.value > high.value) {
      find(fmt::format("{} is {}, which is not within its min to max, {} to {}", of, median.text,
                       low.text, high.text),
           median.line);
    } else {
      check_runs(of, *range, row, quantity);
    }
  }

 private:
  // A run's median and last step lie between the steps of all runs.
  void check_runs(const std::string& of, const PublishedRange& range, size_t row,
                  PublishedQuantity quantity) {
    const double low = range.low.value - 1.001 * range.low.rounding();
    const double high = range.high.value + 1.001 * range.high.rounding();
    for (const PublishedRun* run : input_.match.runs_of(quantity, row)) {
      for (const PublishedNumber* one : {&run->value, &run->last_step}) {
        if (one->text.empty() || !(one->value < low || one->value > high)) continue;
        findings_.push_back({"value",
                             fmt::format("{}: the raw data has {}, which is not within its min to "
                                         "max, {} to {}",
                                         of, one->text, range.low.text, range.high.text),
                             {range.low.line, one->line}});
        return;
      }
    }
  }
  void find(std::string text, int64_t line) {
    findings_.push_back({"value", std::move(text), {line}});
  }

  const AuditInput& input_;
  std::vector<AuditFinding>& findings_;
};

}  // namespace

void audit_ranges(const AuditInput& input, std::vector<AuditFinding>& findings) {
  RangeAudit audit(input, findings);
  for (size_t row = 0; row < input.report.rows.size(); ++row) {
    const PublishedRow& one = input.report.rows[row];
    audit.check("tpgps", row, one.tokens_per_gpu, one.tokens_per_gpu_range,
                PublishedQuantity::kTokensPerGpu);
    audit.check("TFLOPs", row, one.tflops, one.tflops_range, PublishedQuantity::kTflops);
  }
}

}  // namespace borealis
