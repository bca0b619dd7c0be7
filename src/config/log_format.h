// What the log on the console looks like.
#pragma once

#include <string>
#include <vector>

#include "config/run_config_loader.h"

namespace borealis {

// LOG_FORMAT or --log-format where it is one of two. With `auto`: short on a terminal, the
// reference's elsewhere (scripts read it there), and where the user set TIMING_LOG_LEVEL, for only
// the reference's has timers. Settings that load_run_config refuses throw the same Error here.
bool wants_short_log(const Environment& environment, const std::vector<std::string>& arguments,
                     bool on_terminal);

}  // namespace borealis
