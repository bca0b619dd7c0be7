// Where a performance report takes its runs from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "publish/performance_report.h"

namespace borealis {

struct SourceOptions {
  // First steps of a run that do not count. None: those of the sweep that the run belongs to, else
  // one, which holds start-up.
  std::optional<int64_t> warmup_steps;
  std::function<void(const std::string&)> warn;  // of a run that is left out
};

// A source is the folder of a run, the folder of a sweep (all its points), a report.json of an
// earlier report, the log of a run (trainer_log.h), the folder of an offline run of Weights &
// Biases or its log (wandb_source.h), or a folder that has folders of runs or sweeps beneath it, or
// else the report.json of a report. Runs beneath a folder that cannot be read are left out with a
// warning; those that are named themselves are errors. The same run named twice counts once, also
// in two of these forms (but for a log, whose figures are rounded). Throws Error(kFile) or
// Error(kData), also where nothing is found.
ReportSources collect_runs(const std::vector<std::filesystem::path>& sources,
                           const SourceOptions& options);

}  // namespace borealis
