// What the commands that compute do first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/run_config.h"

namespace borealis {

// Limits the instruction set if asked to and sets the number of OpenMP threads, which it returns.
int prepare_machine(const MachineConfig& machine);

// Of --memory-limit, or of MEMORY_LIMIT where the flag is empty. Throws Error(kConfig).
std::optional<int64_t> memory_limit_option(const std::string& flag);

// Bytes of the sample index and the batches; of the batches alone where the data list is absent.
int64_t planned_data_bytes(const RunConfig& config);

}  // namespace borealis
