// Which of the GPUs that it sees each rank of a host computes on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace borealis {

// What the processes of a host know a GPU by, whatever number each has for it.
using GpuId = std::string;

struct GpuShare {
  int64_t number = 0;  // among those that the rank sees
  int64_t ranks = 1;   // of the host that compute on it
};

// seen: what each rank sees, by its numbers. Each takes of them the one that the fewest have taken,
// the first of several; who has the least choice takes first. Of a rank that sees none: {0, 1}.
std::vector<GpuShare> gpu_shares(std::span<const std::vector<GpuId>> seen);

}  // namespace borealis
