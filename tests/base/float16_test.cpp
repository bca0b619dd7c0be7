#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace borealis {
namespace {

// By the format's definition, in double: a fraction of 10 bits, exponents from -14 on.
double value_of(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double fraction = bits & 0x3ff;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// The nearest by scaling to whole numbers, which nearbyint rounds to even.
uint16_t nearest(double value) {
  const double magnitude = std::abs(value);
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (magnitude == 0) return sign;
  const int exponent = std::max(-14, std::ilogb(magnitude));
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  // 2048 units are 1024 of the next exponent: the addition carries.
  const int bits = units < 1024 ? units : ((exponent + 15) << 10) + (units - 1024);
  return static_cast<uint16_t>(sign | std::min(bits, 0x7c00));
}

TEST(Float16, EveryValueIsReadByItsDefinitionAndComesBack) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double expected = value_of(half);
    const float value = float16_to_float(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(std::isnan(float16_to_float(float_to_float16(value)))) << bits;
      continue;
    }
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(float_to_float16(value), half) << bits;
  }
}

TEST(Float16, RoundsToNearestEvenAroundEveryBoundary) {
  for (int bits = 0; bits < 0x7c00; ++bits) {
    const double low = value_of(static_cast<uint16_t>(bits));
    const double high = bits == 0x7bff ? 65536 : value_of(static_cast<uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one bit more
    for (const float value : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f)}) {
      ASSERT_EQ(float_to_float16(value), nearest(value)) << value;
      ASSERT_EQ(float_to_float16(-value), nearest(-value)) << value;
    }
  }
}

TEST(Float16, AgreesOnRandomNumbersOfEveryExponent) {
  const RandomStream stream(7, 0);
  for (uint64_t i = 0; i < 200000; ++i) {
    const auto value =
        static_cast<float>(std::ldexp(stream.normal(i), static_cast<int>(i % 60) - 40));
    ASSERT_EQ(float_to_float16(value), nearest(value)) << value;
  }
}

TEST(Float16, WhatIsTooLargeBecomesInfinity) {
  EXPECT_EQ(float_to_float16(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_float16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_float16(-1e30f), 0xfc00);
  EXPECT_EQ(float_to_float16(std::numeric_limits<float>::infinity()), 0x7c00);
}

}  // namespace
}  // namespace borealis
