// What views say of a run, value by value. "-": not known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "watch/styled_text.h"
#include "watch/watched_run.h"

namespace borealis {

// "running", "stopped by SIGTERM", "killed: its process is gone", "failed: ...", "no sign of life
// for 5 min 02 s". `brief`: in 12 columns, "silent 5 min".
StyledPart state_text(const RunLife& life, bool brief, bool unicode);

std::string iteration_text(const WatchedRun& run);  // "420/1000", "420" where the end is not known
// "3 min 10 s left"; of a run that has ended, or knows no end, "".
std::string time_left_text(const WatchedRun& run);
// "3.2144"; "skipped" where the last step was.
StyledPart last_loss(const WatchedRun& run);
std::string memory_text(const WatchedRun& run);  // resident; the peak of one that has ended

struct RunField {
  std::string_view label;
  StyledPart value;
};
// All there is to say in figures, the most wanted first.
std::vector<RunField> run_fields(const WatchedRun& run, bool unicode);

}  // namespace borealis
