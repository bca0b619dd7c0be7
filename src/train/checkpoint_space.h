// What a run's checkpoints will take on the disk, told before its first step.
#pragma once

#include <cstdint>
#include <string>

#include "config/run_config.h"

namespace borealis {

struct CheckpointSpace {
  int64_t bytes_each = 0;
  int64_t most = 0;  // that it adds at one time, the one that is being written included
};

// Of a run that goes on from `iteration`, where so many are there; most is 0 where it saves
// nothing.
CheckpointSpace checkpoint_space(const RunConfig& config, int64_t parameters, int64_t iteration,
                                 int64_t there = 0);

// A warning where not all of them fit into `free_bytes` of `folder`, else empty. Throws
// Error(kFile) where not even one does.
std::string check_space(const CheckpointSpace& space, int64_t free_bytes,
                        const std::string& folder);

}  // namespace borealis
