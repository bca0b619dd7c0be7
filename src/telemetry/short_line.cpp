#include "telemetry/short_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "telemetry/step_text.h"

namespace borealis {
namespace {

constexpr std::string_view kGap = "  ";

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
      return loss_text(step.lm_loss);
    case Field::kGradNorm:
      return grad_norm_text(step.grad_norm);
    case Field::kRate:
      return learning_rate_text(step.learning_rate);
    case Field::kTime:
      return step_time_text(step.elapsed_ms);
    case Field::kTokens:
      return token_rate_text(step.tokens_per_gpu_per_second);
    case Field::kTflops:
      return tflops_text(step.tflops);
    case Field::kShare:
      return gemm_share_text(step.gemm_share);
    case Field::kMemory:
      return bytes_text(resident_bytes);
  }
  return "";
}

}  // namespace borealis
