// Grids in a YAML or JSON file: a list of grids (or one), each an object of variable -> value, list
// of values, or range.
//
//   - MODEL_ARCH: [llama3-3B, smollm3-3B]
//     NLAYERS: 4:16:2
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sweep/grid.h"

namespace borealis {

// `name`: of the file, for messages. Throws Error(kData) for what is not YAML or has another form;
// what is wrong with a range becomes a problem.
std::vector<Grid> parse_grids(const std::string& text, const std::string& name, Problems& problems);
// Throws Error(kFile) as well.
std::vector<Grid> read_grid_file(const std::filesystem::path& path, Problems& problems);

}  // namespace borealis
