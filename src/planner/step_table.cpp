#include "planner/step_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace borealis {
namespace {

struct Column {
  std::string_view name;
  void (*store)(MeasuredStep&, double);
  bool required = true;
};

template <auto member>
void store_model(MeasuredStep& step, double value) {
  step.shape.model.*member = static_cast<int64_t>(value);
}
template <auto member>
void store_shape(MeasuredStep& step, double value) {
  step.shape.*member = static_cast<int64_t>(value);
}

constexpr std::string_view kRate = "tokens_per_gpu_per_second";

const std::vector<Column>& columns() {
  static const std::vector<Column> all = {
      {"hidden_size", store_model<&ModelConfig::hidden_size>},
      {"intermediate_size", store_model<&ModelConfig::intermediate_size>},
      {"num_attention_heads", store_model<&ModelConfig::num_attention_heads>},
      {"num_key_value_heads", store_model<&ModelConfig::num_key_value_heads>},
      {"head_dim", store_model<&ModelConfig::head_dim>},
      {"vocab_size", store_model<&ModelConfig::vocab_size>},
      {"num_hidden_layers", store_model<&ModelConfig::num_hidden_layers>},
      {"seq_length", store_shape<&StepShape::seq_length>},
      {"micro_batch_size", store_shape<&StepShape::micro_batch_size>},
      {"grad_accum_steps", store_shape<&StepShape::grad_accum_steps>},
      {"hosts", store_shape<&StepShape::hosts>},
      {"ranks_per_host", store_shape<&StepShape::ranks_per_host>},
      {kRate, [](MeasuredStep& step, double value) { step.seconds = value; }},
      {"recompute_segment", store_shape<&StepShape::recompute_segment>, false},
      {"tie_word_embeddings",
       [](MeasuredStep& step, double value) { step.shape.model.tie_word_embeddings = value != 0; },
       false},
      {"zero_stage", store_shape<&StepShape::zero_stage>, false},
  };
  return all;
}

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (size_t end = 0; end != std::string_view::npos;) {
    end = line.find(',');
    cells.push_back(trimmed(line.substr(0, end)));
    if (end != std::string_view::npos) line.remove_prefix(end + 1);
  }
  return cells;
}

[[noreturn]] void reject(const std::string& file, int64_t line, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}, line {}: {}", file, line, problem),
              "docs/planner.md describes a table of steps");
}

std::vector<const Column*> header_of(std::string_view text, const std::string& file) {
  std::vector<const Column*> header;
  for (const std::string_view name : cells_of(text)) {
    const auto found = std::ranges::find(columns(), name, &Column::name);
    if (found == columns().end()) reject(file, 1, fmt::format("'{}' is no column of steps", name));
    if (std::ranges::find(header, &*found) != header.end()) {
      reject(file, 1, fmt::format("the column {} comes twice", name));
    }
    header.push_back(&*found);
  }
  for (const Column& column : columns()) {
    if (column.required && std::ranges::find(header, &column) == header.end()) {
      reject(file, 1, fmt::format("the column {} is missing", column.name));
    }
  }
  return header;
}

double number_of(std::string_view cell, const Column& column, const std::string& file,
                 int64_t line) {
  double value = 0;
  const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  constexpr double kMost = 1e12;
  const bool whole = column.name == kRate || value == std::floor(value);
  const double least = column.required ? 1e-6 : 0;
  if (code != std::errc() || end != cell.data() + cell.size() || !(value >= least) ||
      value > kMost || !whole) {
    reject(file, line, fmt::format("{} cannot be {}", column.name, cell));
  }
  return value;
}

}  // namespace

std::vector<MeasuredStep> parse_step_table(const std::string& text, const std::string& file,
                                           DType dtype) {
  std::vector<MeasuredStep> steps;
  std::vector<const Column*> header;
  std::string_view rest = text;
  for (int64_t line = 1; !rest.empty(); ++line) {
    const size_t end = rest.find('\n');
    const std::string_view content = trimmed(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line == 1) {
      header = header_of(content, file);
      continue;
    }
    if (content.empty()) continue;
    const std::vector<std::string_view> cells = cells_of(content);
    if (cells.size() != header.size()) {
      reject(file, line, fmt::format("{} cells under {} columns", cells.size(), header.size()));
    }
    MeasuredStep step;
    step.shape.dtype = dtype;
    for (size_t i = 0; i < cells.size(); ++i) {
      header[i]->store(step, number_of(cells[i], *header[i], file, line));
    }
    step.name = fmt::format("row {}", steps.size() + 1);
    step.seconds = step.shape.tokens() / step.seconds;  // until here the rate
    steps.push_back(std::move(step));
  }
  if (header.empty()) reject(file, 1, "the table is empty");
  return steps;
}

}  // namespace borealis
