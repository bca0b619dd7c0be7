// An offline run of Weights & Biases as a measured run: ours, or the reference trainer's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "publish/measured_run.h"

namespace borealis {

// The records of a transaction log (telemetry/wandb_log.h). What follows damage in its block is
// passed over, a last record that was cut off is left out.
struct WandbRecords {
  std::vector<std::string> whole;
  int64_t damaged_blocks = 0;
};
// Error(kData) for what is no such log.
WandbRecords wandb_records(std::string_view file, const std::string& name);

// Its configuration and a history row a step, by the reference's metric names. Error(kData) where
// that does not make a run with steps behind the first `warmup_steps`.
MeasuredRun parse_wandb_log(std::string_view file, const std::string& name, int64_t warmup_steps);

// The one log in a folder of an offline run; empty: it is no such folder.
std::filesystem::path wandb_log_in(const std::filesystem::path& folder);

}  // namespace borealis
