#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace borealis {

// The T whose bytes, in this machine's order, begin at `position`; the caller has made sure of
// them.
template <typename T>
T load_unaligned(std::span<const std::byte> bytes, size_t position) {
  T value;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

}  // namespace borealis
