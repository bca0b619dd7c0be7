// What the commands that compute do first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/rank_layout.h"
#include "config/run_config.h"
#include "config/run_config_loader.h"

namespace borealis {

// Limits the instruction set if asked to and sets the number of OpenMP threads, which it returns.
int prepare_machine(const MachineConfig& machine);

// What a run is loaded and planned with that `borealis launch` would start with these ranks.
LoadOptions options_of_ranks(const RankLayout& layout);
// The ranks of a host share its memory, its GPUs and, unless --threads says how many each has, its
// cores.
void share_host(int64_t ranks, MachineConfig& machine);

// What one of so many ranks has resident before it allocates anything, as this process, which has
// started no MPI, knows it.
int64_t program_bytes_of_rank(int64_t ranks);

// Without the variables that a launcher sets: of a run that is described, its ranks are the
// command's.
Environment without_launch(Environment environment);

// Of --memory-limit, or of MEMORY_LIMIT where the flag is empty. Throws Error(kConfig).
std::optional<int64_t> memory_limit_option(const std::string& flag);

// Bytes of the sample index and the batches. Where the data is absent or unreadable they are
// arithmetic (data/assumed_data.h), and `note` says so.
struct PlannedData {
  int64_t bytes = 0;
  std::string note;
};
PlannedData planned_data(const RunConfig& config);

}  // namespace borealis
