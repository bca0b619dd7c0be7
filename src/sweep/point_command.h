// The `borealis train` that measures a point.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/run_config_loader.h"
#include "sweep/child_process.h"
#include "sweep/grid.h"

namespace borealis {

// Its flags: `flags`, which all points have in common, and those that make it a measurement, which
// win: so many steps from scratch, no validation, nothing saved.
std::vector<std::string> point_flags(const std::vector<std::string>& flags, int64_t steps);
// Flags of `flags` that a sweep gives itself, or that set a variable of the grid, become problems.
void check_flags(const std::vector<std::string>& flags, const std::vector<Grid>& grids,
                 Problems& problems);

// The second half of that alone.
void check_flags_of_grid(const std::vector<std::string>& flags, const std::vector<Grid>& grids,
                         Problems& problems);

// The point's variables under their first names, other names of theirs taken out, and where sample
// indices go that all points can share unless the user says otherwise.
std::vector<EnvironmentChange> point_environment(const PointSettings& settings,
                                                 const Environment& environment,
                                                 const std::string& cache_path);
Environment with_changes(Environment environment, std::vector<EnvironmentChange> changes);

}  // namespace borealis
