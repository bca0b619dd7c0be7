#pragma once

#include <cstdint>
#include <string>

namespace borealis {

// The low `byte_count` bytes of `value`, the lowest first.
inline void append_little_endian(std::string& bytes, uint64_t value, int byte_count) {
  for (int i = 0; i < byte_count; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
}

}  // namespace borealis
