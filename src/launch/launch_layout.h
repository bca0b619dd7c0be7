// The ranks that `borealis launch` starts here and now.
#pragma once

#include <optional>

#include "config/rank_layout.h"
#include "launch/launcher.h"

namespace borealis {

struct LaunchPlan {
  RankLayout layout;
  std::optional<Launcher> launcher;  // none: one rank here, which needs none
  std::string note;                  // "" unless something is not as one would expect
};

// Of a host for which nothing else says how many: one a GPU of those that CUDA_VISIBLE_DEVICES
// leaves, else, and with DEVICE=cpu, one a memory domain.
int64_t default_ranks_of_host(const Environment& environment, int64_t gpus, int64_t domains);

// By default every host is taken to have as many GPUs and memory domains as this one; where no
// launcher is there to start their ranks, and nobody asked for ranks, one for all. Throws as
// find_rank_layout() and find_launcher() do.
LaunchPlan plan_launch(const Environment& environment);

}  // namespace borealis
