// Parts of the audit of a published report (report_audit.h), each of one subject.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "report/published_match.h"
#include "report/published_report.h"
#include "report/report_audit.h"

namespace borealis {

// Rates and TFLOPs of one run are averaged over different samplings.
inline constexpr double kSameValue = 0.005;

struct AuditInput {
  const PublishedReport& report;
  const PublishedMatch& match;
  std::optional<int64_t> vocab_size;
};

// Share of b by which a is off.
double published_deviation(double a, double b);
// A row's model; none: its architecture is not known, or not told apart from others.
std::optional<ModelConfig> published_row_model(const AuditInput& input, size_t row);
// Tokens per GPU and second of a row's runs.
std::vector<double> published_rates(const AuditInput& input, size_t row);

// TFLOPs by rate and formula: "formula". Families whose table and raw data follow two formulas.
std::set<std::string> audit_formulas(const AuditInput& input, std::vector<AuditFinding>& findings);
// The table of TFLOPs by formula: "formula".
void audit_formula_table(const AuditInput& input, std::vector<AuditFinding>& findings);
// Min to max against medians: "value".
void audit_ranges(const AuditInput& input, std::vector<AuditFinding>& findings);
// Numbers of rows, runs and steps: "count".
void audit_counts(const AuditInput& input, std::vector<AuditFinding>& findings);
// Batches, ranks and hosts; what rows and all runs are said to be: "configuration".
void audit_configuration(const AuditInput& input, std::vector<AuditFinding>& findings);

}  // namespace borealis
