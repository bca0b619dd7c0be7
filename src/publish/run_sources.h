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

// A source is one of
//   the folder of a run, or of a sweep, with all its points
//   the report.json of an earlier report
//   the log of a run of the reference trainer (trainer_log.h)
//   an offline run of Weights & Biases, its folder or its log (wandb_source.h)
//   a folder with any of these beneath it
// What cannot be read beneath a folder is left out with a warning; where it is named itself it is
// an error. A run in two of these forms counts once, but for a log, whose figures are rounded.
// Throws Error(kFile) or Error(kData), also where nothing is found.
ReportSources collect_runs(const std::vector<std::filesystem::path>& sources,
                           const SourceOptions& options);

}  // namespace borealis
