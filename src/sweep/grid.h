// Grids of settings: which variables of the contract take which values, and the points that result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/environment.h"
#include "config/settings.h"

namespace borealis {

// A point's variables and their values, in the contract's order: however a grid is written, the
// same point has the same settings, and the same name.
using PointSettings = std::vector<std::pair<std::string, std::string>>;

struct GridAxis {
  std::string variable;  // as the user wrote it
  std::vector<std::string> values;
};

struct Grid {
  std::string where;  // for messages: "grid.yaml, grid 2"; empty: the command line
  std::vector<GridAxis> axes;
};

// More values or points than this are refused: they are a mistyped range.
inline constexpr size_t kMostPoints = 10'000;

// One value, or a range of whole numbers FIRST:LAST or FIRST:LAST:STEP, which holds FIRST, and LAST
// if the steps meet it.
std::vector<std::string> expand_value(std::string_view text, const std::string& spelled,
                                      Problems& problems);
// Values and ranges with commas between. `spelled`: the whole option, for messages.
std::vector<std::string> expand_values(std::string_view text, const std::string& spelled,
                                       Problems& problems);
// "VARIABLE=value,value,...", as --set takes it; an empty axis if it is not that.
GridAxis parse_axis(std::string_view text, Problems& problems);

// The cross product of each grid's axes, the last one fastest, grid by grid; a point that comes
// again is left out. Variables that the contract does not have, that come twice in a grid, or that
// a sweep decides itself become problems; axes without values are left out, for they were told.
std::vector<PointSettings> grid_points(const std::vector<Grid>& grids, Problems& problems);

// "llama3-3B_nlayers4": a name for a folder, the same for the same settings. Behind one that had to
// be changed or cut stands a checksum of them.
std::string point_name(const PointSettings& settings);

// "GRAD_ACC_STEPS=2, ZERO_STAGE=3": what a point sets besides architecture and layers, which have
// columns of their own.
std::string other_settings(const PointSettings& settings);

// The variable's row, or that of which it is another name; null: the contract has none.
const OptionRow* find_variable(std::string_view variable);
// Why a sweep sets this row itself: what to use instead; empty where it does not.
std::string_view own_setting(const OptionRow& row);

}  // namespace borealis
