// What is wrong with ranks, from what each found out about itself.
#pragma once

#include <string>
#include <vector>

#include "doctor/rank_probe.h"

namespace borealis {

struct Diagnosis {
  std::vector<std::string> faults;   // with these a run would not start, or not be reproducible
  std::vector<std::string> remarks;  // with these it would be slow
};

// Ranks that differ from rank 0 in program, MPI library, instructions, GPU or data are faults; so
// is data that cannot be read. Rates below 80 % of the ranks' median, cores that more threads share
// than there are, and hosts of different processors are remarks.
Diagnosis diagnose(const std::vector<RankProbe>& probes);

}  // namespace borealis
