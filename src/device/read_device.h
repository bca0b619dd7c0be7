// What lies in a device's memory, in order, through a little of the host's.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "device/device.h"

namespace borealis {

// So much of the host's memory it takes, of a device that is another.
inline constexpr size_t kDeviceReadBytes = size_t{4} << 20;

// Passes `bytes` on, in parts that do not outlive the call; of the host at once, where they are.
void read_device(Device& device, const void* from, size_t bytes,
                 const std::function<void(std::span<const std::byte>)>& sink);

}  // namespace borealis
