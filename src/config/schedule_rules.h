// What the parts of a learning-rate schedule have to be to each other.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.h"

namespace borealis {

// A sentence for each rule of its decay style that `schedule` breaks. A run that goes on asks
// again: it has some parts of the checkpoint and some of the command.
std::vector<std::string> schedule_faults(const ScheduleConfig& schedule);

}  // namespace borealis
