// Makes the GPUs of ranks a group.
#pragma once

#include <memory>

#include "comm/communicator.h"
#include "kernels/backend.h"
#include "kernels/device_group.h"

namespace borealis {

// Of a backend whose GPU has a group (GpuProfile). seconds: how long it waits for others, here and
// later; meanwhile it looks after them, by `ranks`, which must outlive it. Collective. Throws
// Error(kRanks).
std::unique_ptr<DeviceGroup> join_group(Backend& backend, Communicator& ranks, double seconds);

}  // namespace borealis
