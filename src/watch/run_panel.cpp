#include "watch/run_panel.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "telemetry/progress.h"
#include "watch/run_fields.h"

namespace borealis {
namespace {

constexpr int kLabelColumns = 11;  // with a gap behind it
constexpr int kTwoFields = 72;     // from here on, two stand in a line
constexpr int kMostFieldColumns = 44;
constexpr int kLeastCurveRows = 4;
constexpr int kMostCurveRows = 18;
constexpr size_t kMostStateLines = 6;  // of an error

StyledLine name_line(const WatchedRun& run, int width, bool selected, bool unicode) {
  const std::string mark = selected ? "> " : "";
  const int columns = width - static_cast<int>(mark.size());
  const std::string name = cut_name(one_line(run.name, unicode), columns, unicode);
  return {{mark + name, selected ? Style::kSelected : Style::kBold}};
}

StyledLine about_line(const WatchedRun& run, bool unicode) {
  std::string text = one_line(run.summary.model_name, unicode);
  const auto add = [&text](const std::string& part) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  };
  add(one_line(run.summary.dtype, unicode));
  add(one_line(run.summary.machine.hostname, unicode));
  if (run.summary.world_size > 1) add(fmt::format("{} ranks", run.summary.world_size));
  if (run.summary.resumed_at_iteration > 0) {
    add(fmt::format("resumed at {}", run.summary.resumed_at_iteration));
  }
  return {{text, Style::kDim}};
}

StyledLine progress_line(const WatchedRun& run, int width) {
  const std::string iteration = iteration_text(run);
  std::string rest = iteration;
  if (const std::string left = time_left_text(run); !left.empty()) rest += "  " + left;
  const int bar_columns = std::min(40, width - static_cast<int>(rest.size()) - 4);
  const StepRecord* step = run.last_step();
  if (bar_columns < 8 || run.train_iters == 0) return {{rest}};
  const double done = step == nullptr ? 0 : static_cast<double>(step->iteration);
  return {{progress_bar(done / static_cast<double>(run.train_iters), bar_columns) + "  "}, {rest}};
}

StyledLine field_line(const RunField& field) {
  return {{left_aligned(field.label, kLabelColumns), Style::kDim}, field.value};
}

std::vector<StyledLine> field_lines(const std::vector<RunField>& fields, int width, bool unicode) {
  std::vector<StyledLine> lines;
  if (width < kTwoFields) {
    for (const RunField& field : fields) lines.push_back(field_line(field));
    return lines;
  }
  for (size_t i = 0; i < fields.size(); i += 2) {
    StyledLine line =
        fill_line(field_line(fields[i]), std::min(width / 2, kMostFieldColumns), unicode);
    if (i + 1 < fields.size()) {
      std::ranges::copy(field_line(fields[i + 1]), std::back_inserter(line));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<StyledLine> state_part(const WatchedRun& run, int width, bool unicode) {
  const StyledPart state = state_text(run.life, false, unicode);
  std::vector<StyledLine> lines;
  for (std::string& line : wrap_text(state.text, width)) {
    if (lines.size() == kMostStateLines) break;
    lines.push_back({{std::move(line), state.style}});
  }
  return lines;
}

}  // namespace

int state_lines(const WatchedRun& run, int width, bool unicode) {
  return static_cast<int>(state_part(run, width, unicode).size());
}

std::vector<StyledLine> run_panel(const WatchedRun& run, const CurveScale& scale,
                                  const PanelSize& size, bool selected, bool unicode) {
  const auto height = static_cast<size_t>(std::max(size.height, 0));
  std::vector<StyledLine> lines = {name_line(run, size.width, selected, unicode)};
  std::ranges::move(state_part(run, size.width, unicode), std::back_inserter(lines));
  lines.resize(std::max(lines.size(), static_cast<size_t>(size.state_lines) + 1));
  lines.push_back(progress_line(run, size.width));
  std::vector<StyledLine> fields = field_lines(run_fields(run, unicode), size.width, unicode);
  int spare = size.height - static_cast<int>(lines.size() + fields.size());
  if (spare > 0) {
    lines.insert(lines.end() - 1, about_line(run, unicode));
    --spare;
  }
  if (!run.problem.empty()) {
    for (std::string& line : wrap_text(one_line(run.problem, unicode), size.width)) {
      lines.push_back({{std::move(line), Style::kWarning}});
      --spare;
    }
  }
  if (run.unreadable_lines > 0) {
    lines.push_back({{fmt::format("{} line{} of metrics.jsonl cannot be read", run.unreadable_lines,
                                  run.unreadable_lines == 1 ? "" : "s"),
                      Style::kWarning}});
    --spare;
  }
  // The curve has what the figures leave, and of a low screen a part of theirs.
  int rows = std::min(spare - 1, kMostCurveRows);
  if (rows < kLeastCurveRows && size.height >= 12) rows = kLeastCurveRows;
  if (rows >= kLeastCurveRows) {
    for (StyledLine& line : large_curve(run, scale, size.width, rows, unicode)) {
      lines.push_back(std::move(line));
    }
    if (spare > rows) lines.push_back({});
  }
  for (StyledLine& line : fields) lines.push_back(std::move(line));
  if (lines.size() > height) lines.resize(height);
  for (StyledLine& line : lines) line = cut_line(line, size.width, unicode);
  return lines;
}

}  // namespace borealis
