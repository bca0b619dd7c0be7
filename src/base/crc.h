// The two cyclic redundancy checks of 32 bits that file formats use.
#pragma once

#include <cstdint>
#include <string_view>

namespace borealis {

// IEEE 802.3, polynomial 0xEDB88320 reflected: zlib's crc32.
uint32_t crc32_ieee(std::string_view bytes);
// Castagnoli, polynomial 0x82F63B78 reflected.
uint32_t crc32c(std::string_view bytes);

}  // namespace borealis
