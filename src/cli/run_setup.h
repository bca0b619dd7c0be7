// What the commands that compute do first.
#pragma once

#include <cstdint>

#include "config/run_config.h"

namespace borealis {

// Limits the instruction set if asked to and sets the number of OpenMP threads, which it returns.
int prepare_machine(const MachineConfig& machine);

// Bytes of the sample index and the batches; of the batches alone where the data list is absent.
int64_t planned_data_bytes(const RunConfig& config);

}  // namespace borealis
