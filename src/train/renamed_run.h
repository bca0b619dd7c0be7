// A run that goes on elsewhere than where it began.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "config/run_config.h"

namespace borealis {

// The folder of checkpoints in its default place is named after ranks, ZeRO stage, micro batch and
// SP, among others: a command that differs in these, from which any checkpoint goes on, saves
// beside what it was to go on with.
struct OtherRanksRun {
  std::filesystem::path folder;  // the one that was written last; empty: there is none
  std::optional<int64_t> global_batch = std::nullopt;  // where it is another than the command's
};
// No folder either where the run's own was named by its user.
OtherRanksRun checkpoints_of_other_ranks(const RunConfig& config);

}  // namespace borealis
