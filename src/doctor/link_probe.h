// How fast the ranks add up what they have, by the sums that training makes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "device/device.h"
#include "kernels/device_group.h"

namespace borealis {

struct AllReduceRate {
  int64_t bytes = 0;   // of f32 on every rank
  double seconds = 0;  // median of several, of the slowest rank each
  // Bytes that each rank has to send and receive, 2 (W - 1) / W of the sum's, per second: what
  // other tools call bus bandwidth. 0 with one rank.
  double bus_bytes_per_s = 0;
};

// Of 4 KiB to `most_bytes`, four times as many each; each within about a second. Collective.
std::vector<AllReduceRate> measure_all_reduce(Communicator& ranks, int64_t most_bytes);
// The same between the ranks' devices, whose group ends with it.
std::vector<AllReduceRate> measure_all_reduce(Communicator& ranks, Device& device,
                                              std::unique_ptr<DeviceGroup> group,
                                              int64_t most_bytes);

}  // namespace borealis
