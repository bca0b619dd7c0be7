// What a sweep says on the standard output: lines and tables.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sweep/measurement.h"
#include "sweep/sweep_state.h"
#include "sweep/time_left.h"

namespace borealis {

// Columns of ASCII text, as wide as their widest cell, the first one to the left, the others to the
// right; each line with a newline. Every row has as many cells as the first.
std::string aligned_table(const std::vector<std::vector<std::string>>& rows);

// Name, state, tokens/s, TFLOPs, memory; or name, state and reason.
std::string point_line(const SweepPoint& point, const std::optional<Measurement>& measured);

// Before anything runs: parameters, planned memory, whether it fits, FLOPs a step, and where points
// were measured already the time that the runs left of a point, and of all, will take.
std::string plan_table(const SweepState& state, const SweepClock& clock, bool try_all);

// At the end: the medians, a row a measured point, those of earlier commands included; then a line
// for every family that ran out of memory, and for every point that failed.
std::string results_text(const std::filesystem::path& folder, const SweepState& state);

}  // namespace borealis
