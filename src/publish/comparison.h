// Two performance reports beside each other: which rows changed beyond their noise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "publish/performance_report.h"
#include "report/report_table.h"

namespace borealis {

enum class Verdict { kFaster, kSlower, kSame, kUnknown };

// A configuration that both have.
struct ComparedRow {
  std::string family;
  std::string variant;
  int64_t layers = 0;
  double before = 0;  // tokens per GPU and second
  double after = 0;
  double change = 0;                  // after / before - 1
  std::optional<double> uncertainty;  // half the width of its 99 % interval; none: too few values
  Verdict verdict = Verdict::kUnknown;
  int64_t peak_before = 0;  // bytes
  int64_t peak_after = 0;
};

struct Comparison {
  std::vector<ComparedRow> rows;
  // "llama3-3B, 4 layers (WORLD_SIZE=2)", with what sets a row apart from the other side's.
  std::vector<std::string> only_before;
  std::vector<std::string> only_after;
};

// Rows are matched by everything that a rate depends on (machine and instruction set are left out
// where each side has but one). The noise of a side is that between its runs where it has
// three or more, else between up to ten stretches of at least three steps; of the logarithms of
// their medians, Welch's t interval at 99 %. A row changed where this interval does not hold 0 and
// the change is more than `threshold`.
Comparison compare_reports(const PerformanceReport& before, const PerformanceReport& after,
                           double threshold);

ReportTable comparison_table(const Comparison& comparison);
std::string comparison_json(const Comparison& comparison);
std::string_view verdict_name(Verdict verdict);  // "faster"

// Two-sided, at 99 %; of `freedom` degrees, at least 1.
double student_t_99(double freedom);

}  // namespace borealis
