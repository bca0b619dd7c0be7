#include "device/read_device.h"

#include <algorithm>
#include <vector>

namespace borealis {

void read_device(Device& device, const void* from, size_t bytes,
                 const std::function<void(std::span<const std::byte>)>& sink) {
  const auto* begin = static_cast<const std::byte*>(from);
  if (device.is_host()) {
    sink({begin, bytes});
    return;
  }
  std::vector<std::byte> part(std::min(bytes, kDeviceReadBytes));
  for (size_t at = 0; at < bytes; at += part.size()) {
    const std::span<std::byte> some(part.data(), std::min(part.size(), bytes - at));
    device.download(some.data(), begin + at, some.size());
    sink(some);
  }
}

}  // namespace borealis
