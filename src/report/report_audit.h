// What in a published report contradicts itself: its table against its raw data, one list against
// another, and both against what its architectures amount to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "report/published_report.h"

namespace borealis {

struct AuditFinding {
  // "formula": TFLOPs that follow from no formula, columns of one table that follow two, or a table
  // by formula that does not follow them. "division": a quotient that is wrong, or a column of
  // which some numbers are rounded and others truncated. "last_step": a run's last step far from
  // its mean. "missing_row": a run that one list has and another, or the table, has not. "value":
  // numbers of one quantity that differ. "size": a model size that its architecture does not have.
  // "configuration": batches, ranks, hosts, or what rows differ in. "count": of rows, runs or
  // steps.
  std::string kind;
  std::string text;
  std::vector<int64_t> lines;  // of the file, where there are some
};

// What an architecture and a depth amount to; its name and the fields of training stay unset. None:
// the report does not have it as a whole, or its sizes are none. vocab_size: where the architecture
// does not say VOCAB_SIZE.
std::optional<ModelConfig> published_model(const PublishedArchitecture& architecture,
                                           int64_t layers, std::optional<int64_t> vocab_size);
// The same of a family; none also where it has several architectures.
std::optional<ModelConfig> published_model(const PublishedReport& report, const std::string& family,
                                           int64_t layers, std::optional<int64_t> vocab_size);

// vocab_size: of the models, to recompute sizes and FLOPs; none: those are not checked.
std::vector<AuditFinding> audit_report(const PublishedReport& report,
                                       std::optional<int64_t> vocab_size);

}  // namespace borealis
