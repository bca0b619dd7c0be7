#include "publish/report_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/units.h"
#include "model/flop_formulas.h"
#include "report/report_content.h"

namespace borealis {
namespace {

bool any_variant(const PerformanceReport& report) {
  return std::ranges::any_of(report.rows,
                             [](const ResultRow& row) { return !row.variant.empty(); });
}

std::string billions(int64_t parameters) {
  return format_significant(static_cast<double>(parameters) * 1e-9);
}

// "8018 to 8102".
std::string range_text(const Spread& spread) {
  if (!std::isfinite(spread.low)) return "not measured";
  return fmt::format("{} to {}", format_significant(spread.low), format_significant(spread.high));
}

// The first cells of every table of rows.
std::vector<std::string> row_name(const PerformanceReport& report, const ResultRow& row) {
  std::vector<std::string> cells = {row.family, std::to_string(row.layers)};
  if (any_variant(report)) cells.push_back(row.variant);
  return cells;
}

ReportTable table_of_rows(const PerformanceReport& report, const std::string& caption) {
  ReportTable table;
  table.caption = caption;
  table.caption_shown = false;
  table.header = {"model-arch", "nlayers"};
  table.numeric = {false, true};
  if (any_variant(report)) {
    table.header.emplace_back("configuration");
    table.numeric.push_back(false);
  }
  return table;
}

void add_column(ReportTable& table, const std::string& name) {
  table.header.push_back(name);
  table.numeric.push_back(true);
}

std::string kind_text(const std::string& kind) {
  if (kind == "does_not_fit") return "does not fit";
  if (kind == "out_of_memory") return "an allocation failed";
  if (kind == "killed") return "killed by the system";
  return kind == "beyond_memory" ? "larger than one that ran out" : kind;
}

}  // namespace

std::string measured_bytes_text(int64_t bytes) {
  return bytes > 0 ? format_bytes(bytes) : "not measured";
}

ReportTable performance_table(const PerformanceReport& report) {
  ReportTable table;
  table.caption = "Results";
  table.caption_shown = false;
  table.header = {"model-arch", "nlayers", "model size (B)", "tpgps", "TFLOPs"};
  table.numeric = {false, true, true, true, true};
  for (const char* name :
       {"tpgps, min to max", "TFLOPs, min to max", "of GEMM rate", "peak memory", "runs"}) {
    add_column(table, name);
  }
  if (report.peak_tflops) add_column(table, "MFU");
  const bool variants = any_variant(report);
  if (variants) {
    table.header.emplace_back("configuration");
    table.numeric.push_back(false);
  }
  for (const ResultRow& row : report.rows) {
    std::vector<std::string> cells = {row.family,
                                      std::to_string(row.layers),
                                      billions(row.parameters),
                                      format_significant(row.tokens_per_gpu_per_second.median),
                                      format_significant(row.tflops.median),
                                      range_text(row.tokens_per_gpu_per_second),
                                      range_text(row.tflops),
                                      format_percent(row.gemm_share),
                                      measured_bytes_text(row.peak_bytes),
                                      std::to_string(row.runs.size())};
    if (report.peak_tflops) cells.push_back(format_percent(row.mfu));
    if (variants) cells.push_back(row.variant);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable formula_table(const PerformanceReport& report) {
  ReportTable table = table_of_rows(report, "TFLOPs by formula");
  for (const FlopFormula& formula : flop_formulas()) add_column(table, formula.key);
  for (const ResultRow& row : report.rows) {
    std::vector<std::string> cells = row_name(report, row);
    for (const double tflops : row.tflops_by_formula) cells.push_back(format_significant(tflops));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable formula_texts() {
  ReportTable table;
  table.caption = "FLOPs per token, F";
  table.header = {"name", "formula", "what it counts"};
  table.numeric = {false, false, false};
  for (const FlopFormula& formula : flop_formulas()) {
    table.rows.push_back(
        {fmt::format("{} ({})", formula.key, formula.name), formula.text, formula.note});
  }
  return table;
}

ReportTable memory_end_table(const PerformanceReport& report) {
  ReportTable table;
  table.caption = "Out of memory";
  table.caption_shown = false;
  table.header = {"model-arch", "nlayers", "what happened", "planned", "limit", "reason"};
  table.numeric = {false, true, false, true, true, false};
  for (const MemoryEnd& end : report.memory_ends) {
    table.rows.push_back(
        {end.variant.empty() ? end.family : fmt::format("{}, {}", end.family, end.variant),
         std::to_string(end.layers), kind_text(end.kind), measured_bytes_text(end.planned_bytes),
         measured_bytes_text(end.limit_bytes), end.reason});
  }
  return table;
}

ReportTable step_part_table(const PerformanceReport& report) {
  ReportTable table = table_of_rows(report, "Parts of a step, medians in ms");
  for (const char* name :
       {"forward", "backward", "optimizer", "communication", "data", "other", "together"}) {
    add_column(table, name);
  }
  for (const ResultRow& row : report.rows) {
    std::vector<std::string> cells = row_name(report, row);
    const StepBreakdown& parts = row.parts;
    for (const double ms :
         {parts.forward_ms, parts.backward_ms, parts.optimizer_ms, parts.communication_ms,
          parts.data_ms, parts.other_ms, parts.total_ms}) {
      cells.push_back(parts.is_measured() ? fmt::format("{:.1f}", ms) : "not measured");
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable machines_table(const PerformanceReport& report) {
  ReportTable table;
  table.caption = "Machines";
  table.caption_shown = false;
  table.header = {
      "machine", "host", "memory", "instruction set", "type", "threads", "GEMM rate (TFLOP/s)",
      "system"};
  table.numeric = {false, false, true, false, false, false, true, false};
  std::set<std::vector<std::string>> seen;
  for (const MeasuredRun& run : report.runs) {
    double rate = 0;  // the best that a run of this machine, type and threads measured
    for (const MeasuredRun& other : report.runs) {
      const bool same = other.machine_name() == run.machine_name() && other.isa == run.isa &&
                        other.machine.hostname == run.machine.hostname &&
                        other.dtype == run.dtype && threads_text(other) == threads_text(run);
      if (same && other.gemm_tflops > rate) rate = other.gemm_tflops;
    }
    std::vector<std::string> cells = {run.machine_name(),
                                      run.machine.hostname,
                                      measured_bytes_text(run.machine.memory_bytes),
                                      run.isa,
                                      run.dtype,
                                      threads_text(run),
                                      rate > 0 ? format_significant(rate) : "not measured",
                                      run.machine.operating_system};
    if (seen.insert(cells).second) table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable disagreement_table(const PerformanceReport& report) {
  ReportTable table;
  table.caption = "What does not agree";
  table.header = {"run", "disagreement"};
  table.numeric = {false, false};
  for (const Disagreement& one : report.disagreements) {
    table.rows.push_back({one.source, one.text});
  }
  return table;
}

std::vector<std::string> series_names(const PerformanceReport& report) {
  std::vector<std::string> names;
  for (const ResultRow& row : report.rows) {
    if (std::ranges::find(names, row.series()) == names.end()) names.push_back(row.series());
  }
  return names;
}

}  // namespace borealis
