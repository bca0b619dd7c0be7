// The order of a sweep's points, where memory ends, and what a sweep that goes on need not repeat.
#pragma once

#include <cstddef>
#include <vector>

#include "sweep/sweep_state.h"

namespace borealis {

// All settings but the number of layers: points that have it in common are one family.
PointSettings family_of(const SweepPoint& point);

// Families one after the other, each where its first point stood, by layers within.
std::vector<SweepPoint> in_family_order(std::vector<SweepPoint> points);

// The smaller point of the same family that ran out of memory, if there is one: points of one
// family stand in the order of in_family_order. Points of earlier commands do not count.
const SweepPoint* out_of_memory_before(const std::vector<SweepPoint>& points, size_t index);

// Nothing is left to do for it.
bool is_settled(const SweepPoint& point);

// What an earlier command on the folder knew. Of a point whose key is unchanged:
//   done, with at least `now.repeats` runs: stays done; with fewer, it keeps them and is pending;
//   does_not_fit: stays, unless the plan has room for it now;
//   killed: stays;   out_of_memory, failed, beyond_memory: pending.
// Another key: pending, without runs. Points that are not in the grid now stay behind the others,
// in_grid = false, unless they were pending.
void go_on_from(const SweepState& before, SweepState& now);

}  // namespace borealis
