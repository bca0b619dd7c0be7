// What an MPI launcher says of this process, before MPI is started.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/run_config_loader.h"

namespace borealis {

struct LaunchedJob {
  std::string launcher;  // "Open MPI's mpirun", for messages
  std::string library;   // that its ranks speak through: "openmpi", "mpich"
  int64_t rank = 0;
  std::optional<int64_t> rank_on_host;
  std::optional<int64_t> ranks;  // where the launcher says it
};

// None: nobody launched it, or it is the job's only rank. Variables that a scheduler sets for the
// script of a job are no launch. Throws Error(kConfig) for values that are no ranks.
std::optional<LaunchedJob> launched_job(const Environment& environment);

}  // namespace borealis
