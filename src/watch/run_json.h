#pragma once

#include <string>

#include "watch/watched_run.h"

namespace borealis {

// What is known of the run, as one JSON object on one line, without newline; null is not known. The
// keys are an interface to scripts: docs/live.md.
std::string watched_run_json(const WatchedRun& run);

}  // namespace borealis
