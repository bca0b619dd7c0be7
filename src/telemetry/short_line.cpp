#include "telemetry/short_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/units.h"

namespace borealis {
namespace {

constexpr std::string_view kGap = "  ";

// A number of the step, or what there is instead.
template <typename Format>
std::string known(double value, Format format) {
  if (std::isnan(value)) return "-";
  return std::isinf(value) ? fmt::format("{}", value) : format(value);
}

std::string step_time(double ms) {
  if (ms < 1000) return fmt::format("{:.1f} ms", ms);
  return ms < 60'000 ? fmt::format("{:.2f} s", ms * 1e-3) : format_duration(ms * 1e-3);
}

void append_cell(std::string& row, std::string_view cell, int width) {
  if (!row.empty()) row += kGap;
  row += fmt::format("{:>{}}", cell, width);
}

}  // namespace

ShortLines::ShortLines(int64_t train_iters, int columns)
    : train_iters_(train_iters),
      columns_{{Field::kIteration, "iteration",
                std::max(9, 2 * static_cast<int>(fmt::formatted_size("{}", train_iters)) + 1), 0},
               {Field::kLoss, "loss", 8, 0},
               {Field::kGradNorm, "grad norm", 9, 2},
               {Field::kRate, "lr", 8, 4},
               {Field::kTime, "step time", 9, 1},
               {Field::kTokens, "tokens/s", 9, 0},
               {Field::kTflops, "TFLOPs", 6, 3},
               {Field::kShare, "of GEMM", 7, 5},
               {Field::kMemory, "memory", 9, 6}} {
  while (static_cast<int>(header().size()) >= columns) {
    const auto widest = std::ranges::max_element(columns_, {}, &Column::dropped);
    if (widest->dropped == 0) break;
    columns_.erase(widest);
  }
}

std::string ShortLines::header() const {
  std::string row;
  for (const Column& column : columns_) append_cell(row, column.title, column.width);
  return row;
}

std::string ShortLines::line(const IterationLine& line, int64_t resident_bytes) const {
  std::string row;
  for (const Column& column : columns_) {
    append_cell(row, text(column.field, line, resident_bytes), column.width);
  }
  return row;
}

std::string ShortLines::text(Field field, const IterationLine& line, int64_t resident_bytes) const {
  const StepRecord& step = line.last;
  switch (field) {
    case Field::kIteration:
      return fmt::format("{}/{}", step.iteration, train_iters_);
    case Field::kLoss:
      if (line.steps > 0 && line.skipped == line.steps) return "skipped";
      return std::isfinite(step.lm_loss) ? fmt::format("{:.4f}", step.lm_loss)
                                         : fmt::format("{}", step.lm_loss);
    case Field::kGradNorm:
      if (!step.grad_norm) return "-";
      return std::abs(*step.grad_norm) < 1e5 ? fmt::format("{:.3f}", *step.grad_norm)
                                             : fmt::format("{:.2e}", *step.grad_norm);
    case Field::kRate:
      return known(step.learning_rate, [](double rate) { return fmt::format("{:.2e}", rate); });
    case Field::kTime:
      return known(step.elapsed_ms, step_time);
    case Field::kTokens:
      return known(step.tokens_per_gpu_per_second,
                   [](double rate) { return format_count(std::llround(rate)); });
    case Field::kTflops:
      return known(step.tflops,
                   [](double rate) { return fmt::format("{:.{}f}", rate, rate < 10 ? 3 : 1); });
    case Field::kShare:
      if (!(step.gemm_share > 0)) return "-";
      return fmt::format("{:.0f} %", 100 * step.gemm_share);
    case Field::kMemory:
      return resident_bytes > 0 ? format_bytes(resident_bytes) : "-";
  }
  return "";
}

}  // namespace borealis
