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
  // "formula": TFLOPs that follow from no formula, or columns of one table that follow two.
  // "division": a quotient that is wrong, or a column of which some numbers are rounded and others
  // truncated. "last_step": a run's last step far from its mean. "missing_row": a run that one list
  // has and another has not. "value": numbers of one quantity that differ. "size": a model size
  // that its architecture does not have.
  std::string kind;
  std::string text;
  std::vector<int64_t> lines;  // of the file, where there are some
};

// vocab_size: where the architecture does not say VOCAB_SIZE.
// What a family's architecture and a depth amount to; its name and the fields of training stay
// unset. None: the report does not have it as a whole, or its sizes are none.
std::optional<ModelConfig> published_model(const PublishedReport& report, const std::string& family,
                                           int64_t layers, std::optional<int64_t> vocab_size);

// vocab_size: of the models, to recompute sizes and FLOPs; none: those are not checked.
std::vector<AuditFinding> audit_report(const PublishedReport& report,
                                       std::optional<int64_t> vocab_size);

}  // namespace borealis
