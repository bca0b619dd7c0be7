#include "watch/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "watch/curve.h"
#include "watch/run_panel.h"
#include "watch/run_table.h"

namespace borealis {
namespace {

constexpr int kPanelColumns = 38;
constexpr int kPanelGap = 3;
constexpr int kLeastPanelRows = 12;
constexpr std::string_view kKeys = "q quit   arrows choose   enter one run, all   ? help";

StyledLine title_line(size_t runs, const ViewOptions& options) {
  std::string text = fmt::format("borealis watch  {} run{}", runs, runs == 1 ? "" : "s");
  if (options.left_out > 0) text += fmt::format(", {} older ones left out", options.left_out);
  const int gap = options.width - text_columns(text) - text_columns(options.time);
  if (gap < 2) return {{text, Style::kDim}};
  return {{text + std::string(static_cast<size_t>(gap), ' ') + options.time, Style::kDim}};
}

std::vector<StyledLine> help_lines() {
  constexpr std::array<std::string_view, 12> kHelp = {
      "q              quit; so does Ctrl-C. The runs go on.",
      "arrows, tab    choose a run",
      "enter          the chosen run whole, and back to all",
      "?              this help, and back",
      "",
      "Curves of several runs have one scale: the highest and the lowest loss",
      "of all, from the first iteration to the last that one of them has made.",
      "tokens/s and TFLOPs are of a rank and of the last step; of GEMM: its share",
      "of the measured rate of matrix products; memory: resident in the process,",
      "planned: before it began. A - is a value that is not known.",
      "A run whose process cannot be asked for, for it is on another host, is",
      "silent when its folder has not changed for two minutes."};
  std::vector<StyledLine> lines;
  for (const std::string_view line : kHelp) lines.push_back({{std::string(line)}});
  return lines;
}

int panels_that_fit(const ViewOptions& options) {
  return (options.width + kPanelGap) / (kPanelColumns + kPanelGap);
}

std::vector<StyledLine> side_by_side(std::span<const WatchedRun* const> runs, size_t selected,
                                     const ViewOptions& options, int height) {
  const int count = static_cast<int>(runs.size());
  const int width = (options.width - kPanelGap * (count - 1)) / count;
  const CurveScale scale = common_scale(runs);
  const std::string rule = options.unicode ? " │ " : " | ";
  PanelSize size{.width = width, .height = height};
  for (const WatchedRun* run : runs) {
    size.state_lines = std::max(size.state_lines, state_lines(*run, width, options.unicode));
  }
  std::vector<std::vector<StyledLine>> panels;
  size_t rows = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    panels.push_back(run_panel(*runs[i], scale, size, i == selected, options.unicode));
    rows = std::max(rows, panels.back().size());
  }
  std::vector<StyledLine> lines(rows);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < panels.size(); ++i) {
      if (i > 0) lines[row].push_back({rule, Style::kDim});
      panels[i].resize(rows);
      std::ranges::copy(fill_line(panels[i][row], width, options.unicode),
                        std::back_inserter(lines[row]));
    }
  }
  return lines;
}

}  // namespace

void ViewChoice::take(WatchKey key, size_t runs) {
  const bool was_help = std::exchange(help, false);
  switch (key) {
    case WatchKey::kNext:
      if (runs > 0) selected = (std::min(selected, runs - 1) + 1) % runs;
      break;
    case WatchKey::kPrevious:
      if (runs > 0) selected = (std::min(selected, runs - 1) + runs - 1) % runs;
      break;
    case WatchKey::kWhole:
      whole = !whole;
      break;
    case WatchKey::kBack:
      if (!was_help) whole = false;
      break;
    case WatchKey::kHelp:
      help = !was_help;
      break;
    case WatchKey::kQuit:
      quit = true;
      break;
  }
}

std::vector<StyledLine> render_view(std::span<const WatchedRun* const> runs,
                                    const ViewChoice& choice, const ViewOptions& options) {
  if (runs.empty() || options.height <= 0 || options.width <= 0) return {};
  const size_t selected = std::min(choice.selected, runs.size() - 1);
  // A low screen has no line for what is not of the runs.
  const bool framed = options.height >= 8;
  const int height = options.height - (framed ? 3 : 0);
  std::vector<StyledLine> lines;
  if (choice.help) {
    lines = help_lines();
  } else if (runs.size() == 1 || choice.whole) {
    const std::span<const WatchedRun* const> one = runs.subspan(selected, 1);
    lines = run_panel(*one.front(), common_scale(one), {.width = options.width, .height = height},
                      false, options.unicode);
  } else if (static_cast<int>(runs.size()) <= panels_that_fit(options) &&
             height >= kLeastPanelRows) {
    lines = side_by_side(runs, selected, options, height);
  } else {
    lines = run_table(runs, common_scale(runs), {options.width, height}, static_cast<int>(selected),
                      options.unicode);
  }
  lines.resize(std::min(lines.size(), static_cast<size_t>(height)));
  if (framed) {
    lines.insert(lines.begin(), {title_line(runs.size(), options), {}});
    lines.resize(static_cast<size_t>(options.height) - 1);
    lines.push_back({{std::string(kKeys), Style::kDim}});
  }
  for (StyledLine& line : lines) line = cut_line(line, options.width, options.unicode);
  return lines;
}

std::vector<StyledLine> render_snapshot(std::span<const WatchedRun* const> runs,
                                        const ViewOptions& options) {
  const CurveScale scale = common_scale(runs);
  std::vector<StyledLine> lines =
      runs.size() == 1
          ? run_panel(*runs.front(), scale, {.width = options.width, .height = options.height},
                      false, options.unicode)
          : run_table(runs, scale, {options.width, static_cast<int>(runs.size()) + 1}, -1,
                      options.unicode);
  if (options.left_out > 0) {
    lines.push_back({{fmt::format("{} older runs are left out", options.left_out)}});
  }
  return lines;
}

}  // namespace borealis
