// An offline run of Weights & Biases as a measured run: ours, or the reference trainer's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "publish/measured_run.h"

namespace borealis {

// take() of every whole record of a transaction log (telemetry/wandb_log.h), in order; returns the
// number of damaged blocks. What follows damage in its block is passed over, a last record that was
// cut off is left out. Error(kData) for what is no such log.
int64_t for_each_wandb_record(std::string_view file, const std::string& name,
                              const std::function<void(std::string_view)>& take);

// Its configuration and a history row a step, by the reference's metric names. Error(kData) where
// that does not make a run with steps behind the first `warmup_steps`.
MeasuredRun parse_wandb_log(std::string_view file, const std::string& name, int64_t warmup_steps);

// The one log in a folder of an offline run; empty: it is no such folder.
std::filesystem::path wandb_log_in(const std::filesystem::path& folder);

}  // namespace borealis
