// A run that goes on elsewhere than where it began.
#pragma once

#include <filesystem>

#include "config/run_config.h"

namespace borealis {

// The folder of checkpoints in its default place is named after ranks, ZeRO stage and micro batch,
// among others: a command that differs in these, from which any checkpoint goes on, saves beside
// what it was to go on with. Returns that folder, the one that was written last; empty: there is
// none, or the run's folder was named by its user.
std::filesystem::path checkpoints_of_other_ranks(const RunConfig& config);

}  // namespace borealis
