#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/text.h"
#include "model/flop_formulas.h"
#include "publish/report_files.h"

namespace borealis {
namespace {

// RFC 4180: in quotes where it must be. A program that opens tables does not take the text for a
// formula of its own.
std::string field(const std::string& text) {
  std::string clean = clean_utf8(text);
  if (!clean.empty() && std::string_view("=+-@").find(clean.front()) != std::string_view::npos) {
    clean.insert(clean.begin(), '\'');
  }
  if (clean.find_first_of(",\"\n\r") == std::string::npos) return clean;
  std::string quoted = "\"";
  for (const char c : clean) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.10g}", value) : "";
}

void add_spread(const Spread& spread, std::vector<std::string>& cells) {
  for (const double value : {spread.median, spread.low, spread.high}) {
    cells.push_back(number(value));
  }
}

std::string line(const std::vector<std::string>& cells) {
  return fmt::format("{}\n", fmt::join(cells, ","));
}

}  // namespace

std::string performance_csv(const PerformanceReport& report) {
  std::vector<std::string> header = {"model_arch",
                                     "nlayers",
                                     "configuration",
                                     "state",
                                     "parameters",
                                     "machine",
                                     "isa",
                                     "dtype",
                                     "world_size",
                                     "seq_length",
                                     "micro_batch_size",
                                     "grad_accum_steps",
                                     "global_batch_size",
                                     "runs"};
  for (const char* quantity : {"step_ms", "tokens_per_gpu_per_second", "tflops"}) {
    for (const char* which : {"", "_min", "_max"}) header.push_back(std::string(quantity) + which);
  }
  for (const FlopFormula& formula : flop_formulas()) {
    header.push_back(fmt::format("tflops_{}", formula.key));
  }
  for (const char* name :
       {"gemm_share", "mfu", "planned_memory_bytes", "peak_memory_bytes", "memory_limit_bytes"}) {
    header.emplace_back(name);
  }
  std::string text = line(header);
  for (const ResultRow& row : report.rows) {
    const MeasuredRun& run = report.runs[row.runs.front()];
    std::vector<std::string> cells = {field(row.family),
                                      std::to_string(row.layers),
                                      field(row.variant),
                                      "done",
                                      std::to_string(row.parameters),
                                      field(run.machine_name()),
                                      field(run.isa),
                                      field(run.dtype),
                                      std::to_string(run.world_size),
                                      std::to_string(run.seq_length),
                                      std::to_string(run.micro_batch_size),
                                      std::to_string(run.grad_accum_steps),
                                      std::to_string(run.global_batch_size),
                                      std::to_string(row.runs.size())};
    add_spread(row.step_ms, cells);
    add_spread(row.tokens_per_gpu_per_second, cells);
    add_spread(row.tflops, cells);
    for (const double tflops : row.tflops_by_formula) cells.push_back(number(tflops));
    cells.push_back(number(row.gemm_share));
    cells.push_back(number(row.mfu));
    cells.push_back(row.planned_bytes > 0 ? std::to_string(row.planned_bytes) : "");
    cells.push_back(row.peak_bytes > 0 ? std::to_string(row.peak_bytes) : "");
    cells.emplace_back();
    text += line(cells);
  }
  for (const MemoryEnd& end : report.memory_ends) {
    std::vector<std::string> cells(header.size());
    cells[0] = field(end.family);
    cells[1] = std::to_string(end.layers);
    cells[2] = field(end.variant);
    cells[3] = field(end.kind);
    cells[header.size() - 3] = std::to_string(end.planned_bytes);
    cells.back() = std::to_string(end.limit_bytes);
    text += line(cells);
  }
  return text;
}

}  // namespace borealis
