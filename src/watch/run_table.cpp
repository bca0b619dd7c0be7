#include "watch/run_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/units.h"
#include "telemetry/step_text.h"
#include "watch/run_fields.h"

namespace borealis {
namespace {

constexpr int kGap = 2;
constexpr int kMarkColumns = 2;  // "> " before the selected run
constexpr int kLeastName = 8;
constexpr int kMostName = 44;
constexpr int kLeastCurve = 10;
constexpr int kMostCurve = 40;

using CellText = std::function<StyledPart(const WatchedRun&)>;

struct TableColumn {
  const char* title;
  int width;
  int dropped;  // on narrow screens the highest goes first; 0: never
  bool to_the_left;
  CellText text;
};

// A figure of the last step, by its text.
template <typename Text>
CellText of_step(Text text) {
  return [text](const WatchedRun& run) -> StyledPart {
    const StepRecord* step = run.last_step();
    return {step == nullptr ? "-" : text(*step)};
  };
}

StyledPart left_cell(const WatchedRun& run) {
  if (run.train_iters == 0 || !run.seconds_left) return {""};
  return {format_duration(*run.seconds_left)};
}

StyledPart memory_cell(const WatchedRun& run) {
  std::string text = memory_text(run);
  if (text.ends_with(" peak")) text.resize(text.size() - 5);
  return {text};
}

std::vector<TableColumn> figure_columns(bool unicode) {
  return {{"state", 12, 0, true,
           [unicode](const WatchedRun& run) { return state_text(run.life, true, unicode); }},
          {"iteration", 13, 1, false,
           [](const WatchedRun& run) -> StyledPart { return {iteration_text(run)}; }},
          {"left", 11, 3, false, left_cell},
          {"loss", 8, 0, false, last_loss},
          {"tokens/s", 9, 2, false,
           of_step([](const auto& s) { return token_rate_text(s.tokens_per_gpu_per_second); })},
          {"TFLOPs", 6, 5, false, of_step([](const auto& s) { return tflops_text(s.tflops); })},
          {"of GEMM", 7, 6, false,
           of_step([](const auto& s) { return gemm_share_text(s.gemm_share); })},
          {"grad norm", 9, 7, false,
           of_step([](const auto& s) { return grad_norm_text(s.grad_norm); })},
          {"skipped", 7, 8, false,
           of_step([](const auto& s) { return format_count(s.skipped_iterations); })},
          {"memory", 9, 9, false, memory_cell}};
}

int columns_of(const std::vector<TableColumn>& columns) {
  int width = 0;
  for (const TableColumn& column : columns) width += kGap + column.width;
  return width;
}

// The curve is dropped after TFLOPs and before what matters more.
constexpr int kCurveDropped = 4;

struct TableLayout {
  int name = kLeastName;
  int curve = 0;  // 0: none
  std::vector<TableColumn> columns;
};

int longest_name(std::span<const WatchedRun* const> runs, bool unicode) {
  int columns = kLeastName;
  for (const WatchedRun* run : runs) {
    columns = std::max(columns, text_columns(one_line(run->name, unicode)));
  }
  return std::min(columns, kMostName);
}

TableLayout layout_of(std::span<const WatchedRun* const> runs, int width, bool unicode) {
  TableLayout layout{.columns = figure_columns(unicode)};
  // A name may lose a part of its beginning before a column goes.
  const int name = std::min(longest_name(runs, unicode), std::max(kLeastName, width / 4));
  bool curve = true;
  const auto used = [&] {
    return kMarkColumns + name + columns_of(layout.columns) + (curve ? kGap + kLeastCurve : 0);
  };
  while (used() > width) {
    const auto widest = std::ranges::max_element(layout.columns, {}, &TableColumn::dropped);
    if (curve && widest->dropped < kCurveDropped) {
      curve = false;
    } else if (widest->dropped > 0) {
      layout.columns.erase(widest);
    } else {
      break;
    }
  }
  // What is left over goes to the names, then to the curves.
  const int spare = std::max(0, width - used());
  layout.name = std::min(longest_name(runs, unicode), name + spare);
  if (curve) layout.curve = std::min(kMostCurve, kLeastCurve + spare - (layout.name - name));
  return layout;
}

StyledPart cell(const TableColumn& column, const StyledPart& value, bool unicode) {
  const std::string text = cut_text(value.text, column.width, unicode);
  return {column.to_the_left ? left_aligned(text, column.width) : right_aligned(text, column.width),
          value.style};
}

StyledLine header_line(const TableLayout& layout, bool unicode) {
  const std::string gap(kGap, ' ');
  StyledLine line = {
      {std::string(kMarkColumns, ' ') + left_aligned("run", layout.name), Style::kDim}};
  for (const TableColumn& column : layout.columns) {
    line.push_back({gap, Style::kPlain});
    line.push_back(cell(column, {column.title, Style::kDim}, unicode));
  }
  if (layout.curve > 0) line.push_back({gap + "loss curve", Style::kDim});
  return line;
}

StyledLine run_line(const WatchedRun& run, const TableLayout& layout, const CurveScale& scale,
                    bool selected, bool unicode) {
  const std::string gap(kGap, ' ');
  const std::string name = cut_name(one_line(run.name, unicode), layout.name, unicode);
  StyledLine line = {{(selected ? "> " : "  ") + left_aligned(name, layout.name),
                      selected ? Style::kSelected : Style::kPlain}};
  for (const TableColumn& column : layout.columns) {
    line.push_back({gap, Style::kPlain});
    line.push_back(cell(column, column.text(run), unicode));
  }
  if (layout.curve > 0) {
    line.push_back({gap, Style::kPlain});
    line.push_back({small_curve(run, scale, layout.curve, unicode), Style::kCurve});
  }
  return line;
}

}  // namespace

std::vector<StyledLine> run_table(std::span<const WatchedRun* const> runs, const CurveScale& scale,
                                  const TableSize& size, int selected, bool unicode) {
  if (size.height <= 0) return {};
  const TableLayout layout = layout_of(runs, size.width, unicode);
  std::vector<StyledLine> lines = {header_line(layout, unicode)};
  const int count = static_cast<int>(runs.size());
  int rows = size.height - 1;
  const bool all = count <= rows;
  if (!all && rows > 2) --rows;  // for the number of the others
  const int first = all ? 0 : std::clamp(selected - rows / 2, 0, std::max(0, count - rows));
  for (int i = first; i < std::min(count, first + rows); ++i) {
    lines.push_back(run_line(*runs[static_cast<size_t>(i)], layout, scale, i == selected, unicode));
  }
  if (!all && rows > 1) {
    lines.push_back(
        {{fmt::format("  {} to {} of {}", first + 1, first + rows, count), Style::kDim}});
  }
  for (StyledLine& line : lines) line = cut_line(line, size.width, unicode);
  return lines;
}

}  // namespace borealis
