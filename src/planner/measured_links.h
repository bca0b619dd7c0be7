// Links as `borealis doctor` measured them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/communication.h"

namespace borealis {

// An all-reduce of f32 over all ranks.
struct MeasuredSum {
  double bytes = 0;  // on every rank
  double seconds = 0;
};

struct MeasuredLinks {
  std::string file;  // where they stand
  int64_t hosts = 1;
  int64_t ranks_per_host = 1;
  std::vector<MeasuredSum> sums;  // smaller ones first
};

// Of what `borealis doctor --json` printed on two or more ranks. Throws Error(kData) with `file`.
MeasuredLinks parse_measured_links(const std::string& text, const std::string& file);

// Sets a link's bandwidth from the largest sum and its latency from the smallest, as
// all_reduce_seconds takes them: within a host from sums of one host's ranks; between hosts from
// sums over several, less what they take within. Links that none of them crossed stay as they are.
// Throws Error(kData) where a sum over hosts took no longer than its part within them.
void take_measured_links(const std::vector<MeasuredLinks>& measured, Links& links);

}  // namespace borealis
