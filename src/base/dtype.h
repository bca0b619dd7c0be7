// Element types. bf16 is the upper half of an IEEE binary32; conversion from f32 rounds to nearest
// even, as hardware and PyTorch do.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace borealis {

enum class DType : uint8_t { kF32, kBF16 };

constexpr size_t dtype_bytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }
constexpr std::string_view dtype_name(DType dtype) {  // as in the contract's DTYPE
  return dtype == DType::kF32 ? "fp32" : "bf16";
}

struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  explicit constexpr bf16(float value) : bits(round(value)) {}
  explicit constexpr operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }

 private:
  static constexpr uint16_t round(float value) {
    const auto word = std::bit_cast<uint32_t>(value);
    if ((word & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((word >> 16) | 0x40u);
    return static_cast<uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
  }
};
static_assert(sizeof(bf16) == 2);

// An f32 in two halves: the nearest bf16 (ties away from zero) and the lower 16 bits. Nothing is
// lost: bit 15 of the remainder says whether the upper half was rounded up. Not for NaN.
struct SplitF32 {
  bf16 rounded;
  uint16_t remainder = 0;

  static constexpr SplitF32 of(float value) {
    const auto word = std::bit_cast<uint32_t>(value);
    SplitF32 split;
    split.rounded.bits = static_cast<uint16_t>((word + 0x8000u) >> 16);
    split.remainder = static_cast<uint16_t>(word);
    return split;
  }
  constexpr float whole() const {
    const uint32_t rounded_up = (remainder & 0x8000u) << 1;
    const uint32_t upper = static_cast<uint32_t>(rounded.bits) << 16;
    return std::bit_cast<float>((upper | remainder) - rounded_up);
  }
};

template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kF32;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::kBF16;
}

}  // namespace borealis
