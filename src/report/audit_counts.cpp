#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "report/audit_parts.h"

namespace borealis {
namespace {

std::string counted(int64_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

using Name = std::pair<std::string, int64_t>;  // family and layers

// Every run once, in however many lists it is.
std::map<Name, int64_t> raw_runs(const PublishedReport& report) {
  std::set<PublishedRunKey> keys;
  for (const PublishedList& list : report.lists) {
    for (const PublishedRun& run : list.runs) keys.insert(run_key(run));
  }
  std::map<Name, int64_t> counts;
  for (const auto& [family, layers, batch, stamp] : keys) ++counts[{family, layers}];
  return counts;
}

struct TableRuns {
  int64_t count = 0;
  std::vector<int64_t> lines;
};

class CountAudit {
 public:
  CountAudit(const PublishedReport& report, std::vector<AuditFinding>& findings)
      : report_(report), findings_(findings) {}

  void run() {
    check_table();
    const auto rows = static_cast<int64_t>(report_.rows.size());
    if (report_.configurations && report_.configurations->value != rows) {
      find(fmt::format("the report is of {}, its table has {}",
                       counted(report_.configurations->value, "configuration"),
                       counted(rows, "row")),
           {report_.configurations->line});
    }
    if (report_.runs && runs_ && report_.runs->value != *runs_) {
      find(fmt::format("the report is of {}, its {} {}", counted(report_.runs->value, "run"),
                       all_rows_count_ ? "table counts" : "raw data has", *runs_),
           {report_.runs->line});
    }
    check_steps();
  }

 private:
  // The table's runs against those of the raw data.
  void check_table() {
    all_rows_count_ = std::ranges::all_of(
        report_.rows, [](const PublishedRow& row) { return row.runs.has_value(); });
    const std::map<Name, int64_t> raw = raw_runs(report_);
    if (!all_rows_count_) {
      if (raw.empty()) return;
      runs_ = 0;
      for (const auto& [name, count] : raw) *runs_ += count;
      return;
    }
    std::map<Name, TableRuns> table;
    for (const PublishedRow& row : report_.rows) {
      TableRuns& runs = table[{row.family, row.layers}];
      runs.count += std::clamp(*row.runs, int64_t{0}, kMostRuns);
      runs.lines.push_back(row.tokens_per_gpu.line);
    }
    runs_ = 0;
    for (const auto& [name, runs] : table) {
      *runs_ += runs.count;
      const auto found = raw.find(name);
      if (raw.empty() || (found != raw.end() && found->second == runs.count)) continue;
      find(fmt::format("{} x {} has {} in the table, {} in the raw data", name.first, name.second,
                       counted(runs.count, "run"), found == raw.end() ? 0 : found->second),
           runs.lines);
    }
  }

  // A run has one step that counts at least, and TRAIN_ITERS less those that do not at most.
  void check_steps() {
    if (!report_.steps || !runs_) return;
    const int64_t steps = report_.steps->value;
    if (steps < *runs_) {
      find(fmt::format("{} cannot be of {}", counted(steps, "step"), counted(*runs_, "run")),
           {report_.steps->line});
    }
    const auto length = report_.common.find("TRAIN_ITERS");
    if (length == report_.common.end() || length->second.value < 1) return;
    const double most = static_cast<double>(length->second.value - report_.warmup_steps) *
                        static_cast<double>(*runs_);
    if (static_cast<double>(steps) <= most) return;
    find(fmt::format("{} cannot have {}: each has {} (TRAIN_ITERS), of which {} do not count",
                     counted(*runs_, "run"), counted(steps, "step"), length->second.value,
                     report_.warmup_steps),
         {report_.steps->line, length->second.line});
  }

  void find(std::string text, std::vector<int64_t> lines) {
    findings_.push_back({"count", std::move(text), std::move(lines)});
  }

  static constexpr int64_t kMostRuns = int64_t{1} << 32;  // so that sums stay in 63 bits

  const PublishedReport& report_;
  std::vector<AuditFinding>& findings_;
  bool all_rows_count_ = false;
  std::optional<int64_t> runs_;  // by the table, or by the raw data
};

}  // namespace

void audit_counts(const AuditInput& input, std::vector<AuditFinding>& findings) {
  CountAudit(input.report, findings).run();
}

}  // namespace borealis
