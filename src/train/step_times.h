#pragma once

#include <optional>

#include "comm/communicator.h"
#include "telemetry/step_record.h"

namespace borealis {

// What each rank took for itself in the step, least, median and most; the slowest is the one that
// the others wait for. None of one rank. Collective.
std::optional<StepTimesOfRanks> step_times_of_ranks(Communicator& ranks, const StepRecord& record);

}  // namespace borealis
