// IEEE binary16, which weights may be stored in and nothing here computes in.
#pragma once

#include <bit>
#include <cstdint>

namespace borealis {

inline constexpr float kLargestFloat16 = 65504;

constexpr float float16_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  }
  // Moving the exponent by a product is exact for normal and subnormal numbers alike.
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

// Rounds to nearest even; what rounds beyond kLargestFloat16 becomes infinity.
constexpr uint16_t float_to_float16(float value) {
  const auto word = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (word >> 16) & 0x8000u;
  const uint32_t magnitude = word & 0x7fffffffu;
  uint32_t rounded = 0;
  if (magnitude > 0x7f800000u) {
    rounded = 0x7e00u | ((magnitude >> 13) & 0x1ffu);  // a quiet NaN
  } else if (magnitude >= 0x47800000u) {               // 2^16 and more
    rounded = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14 a binary16 counts 2^-24, which is the last place of an f32 in [0.5, 1).
    rounded = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
              std::bit_cast<uint32_t>(0.5f);
  } else {
    const uint32_t odd = (magnitude >> 13) & 1u;
    rounded = (magnitude + 0xfffu + odd - 0x38000000u) >> 13;  // the exponent's bias is 112 less
  }
  return static_cast<uint16_t>(sign | rounded);
}

}  // namespace borealis
