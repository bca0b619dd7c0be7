#include "report/report_overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/units.h"
#include "report/report_content.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostLabelBytes = 40;  // fits the narrow drawing

// The last `parts` names of a path.
std::string path_end(const fs::path& path, int parts) {
  std::vector<std::string> names;
  for (const fs::path& name : path) names.push_back(name.string());
  std::string end;
  for (auto name = names.rbegin(); name != names.rend() && parts-- > 0; ++name) {
    end = end.empty() ? *name : *name + "/" + end;
  }
  return end;
}

// Without its beginning where it is long; never from within a character.
std::string shortened(const std::string& text) {
  if (text.size() <= kMostLabelBytes) return text;
  size_t begin = text.size() - kMostLabelBytes;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
  return "…" + text.substr(begin);
}

fs::path plain_path(const fs::path& folder) {
  std::error_code unknown;
  const fs::path canonical = fs::weakly_canonical(folder, unknown);
  return unknown ? folder : canonical;
}

// How many names of every path's end tell all apart.
int distinct_parts(const std::vector<fs::path>& paths) {
  constexpr int kMostParts = 64;
  for (int parts = 1; parts < kMostParts; ++parts) {
    std::vector<std::string> ends;
    for (const fs::path& path : paths) ends.push_back(path_end(path, parts));
    std::ranges::sort(ends);
    if (std::ranges::adjacent_find(ends) == ends.end()) return parts;
  }
  return kMostParts;
}

std::vector<std::string> overlay_row(const std::string& label, const RunSummary& run,
                                     const StepRecord& last) {
  return {label,
          run.model_name,
          format_count(run.steps),
          format_count(last.consumed_tokens),
          std::isfinite(run.final_loss) ? fmt::format("{:.4f}", run.final_loss) : "not finite",
          format_significant(run.tokens_per_gpu_per_second)};
}

}  // namespace

void add_other_runs(const std::vector<fs::path>& run_dirs, RunResults& results) {
  if (run_dirs.size() + 1 > kMostOverlaidRuns) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} runs are more than the {} that a plot has colours for",
                            run_dirs.size() + 1, kMostOverlaidRuns),
                "name fewer of them");
  }
  std::vector<fs::path> paths = {plain_path(results.run_dir)};
  bool one_model = true;
  for (const fs::path& folder : run_dirs) {
    RunResults other = read_run_results(folder);
    const fs::path path = plain_path(folder);
    if (std::ranges::find(paths, path) != paths.end()) {
      throw Error(ErrorKind::kUsage, fmt::format("{} is named twice", folder.string()),
                  "name every run once");
    }
    paths.push_back(path);
    one_model = one_model && other.summary.model_name == results.summary.model_name;
    results.others.push_back({"", std::move(other.summary), std::move(other.steps)});
  }
  const int parts = distinct_parts(paths);
  for (size_t at = 0; at < results.others.size(); ++at) {
    OtherRun& other = results.others[at];
    const std::string end = path_end(paths[at + 1], parts);
    other.label = shortened(one_model ? end : fmt::format("{}, {}", other.summary.model_name, end));
  }
}

ReportTable overlay_table(const RunResults& results) {
  ReportTable table;
  table.caption = "Runs in the plots";
  table.header = {"run", "model", "steps", "tokens", "training loss", "tokens/s"};
  table.numeric = {false, false, true, true, true, true};
  table.rows.push_back(overlay_row("this run", results.summary, results.steps.back()));
  table.colors.push_back(0);
  for (const OtherRun& other : results.others) {
    table.rows.push_back(overlay_row(other.label, other.summary, other.steps.back()));
    table.colors.push_back(static_cast<int>(table.colors.size()) % kPlotColors);
  }
  return table;
}

}  // namespace borealis
