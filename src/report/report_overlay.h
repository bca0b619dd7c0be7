// Other runs, whose curves are laid over those of a run's report.
#pragma once

#include <filesystem>
#include <vector>

#include "report/run_report.h"

namespace borealis {

inline constexpr size_t kMostOverlaidRuns = 10;  // with the report's own: as many as colours

// Reads them and names each by as much of the end of its path as tells it from the others, behind
// its model's name where models differ. Throws Error(kUsage) for more than kMostOverlaidRuns, or a
// run that is named twice, else as read_run_results.
void add_other_runs(const std::vector<std::filesystem::path>& run_dirs, RunResults& results);

}  // namespace borealis
