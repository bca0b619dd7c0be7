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

// By default a host has a rank for each of its memory domains, which are taken to be as many as
// here; where no launcher is there to start them, and nobody asked for ranks, one for all. Throws
// as find_rank_layout() and find_launcher() do.
LaunchPlan plan_launch(const Environment& environment);

}  // namespace borealis
