// Where the time before the first step goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "telemetry/run_summary.h"

namespace borealis {

class StartPhases {
 public:
  // Ends `phase`, which began where the one before it ended, or with the program. A name that comes
  // again, where a start is tried again, adds up. All ranks end the same phases.
  void end(std::string_view phase);
  // Each of the rank that took the longest for it. Collective.
  std::vector<NamedSeconds> longest(Communicator& ranks) const;

 private:
  std::vector<NamedSeconds> phases_;
  double ended_s_ = 0;  // since the program's start
};

// "start: 1.2 s: MPI 0.3, configuration 0.1, ..."; of several ranks that took the longest for each.
std::string start_line(const std::vector<NamedSeconds>& phases, int64_t ranks);

}  // namespace borealis
