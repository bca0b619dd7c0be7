#include "base/random.h"

#include <cmath>
#include <numbers>

namespace borealis {
namespace {

struct Product {
  uint32_t high;
  uint32_t low;
};

Product multiply(uint32_t a, uint32_t b) {
  const uint64_t product = static_cast<uint64_t>(a) * b;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

double to_unit_interval(uint32_t high, uint32_t low) {
  const uint64_t mantissa = ((static_cast<uint64_t>(high) << 32) | low) >> 11;
  return (static_cast<double>(mantissa) + 0.5) * 0x1p-53;
}

}  // namespace

std::array<uint32_t, 4> RandomStream::bits(uint64_t index) const {
  std::array<uint32_t, 4> counter = {
      static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
      static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)};
  uint32_t key0 = static_cast<uint32_t>(seed_);
  uint32_t key1 = static_cast<uint32_t>(seed_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const Product p0 = multiply(0xD2511F53u, counter[0]);
    const Product p1 = multiply(0xCD9E8D57u, counter[2]);
    counter = {p1.high ^ counter[1] ^ key0, p1.low, p0.high ^ counter[3] ^ key1, p0.low};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

double RandomStream::uniform(uint64_t index) const {
  const auto word = bits(index);
  return to_unit_interval(word[0], word[1]);
}

std::pair<double, double> RandomStream::normal_pair(uint64_t index) const {
  const auto word = bits(index);
  const double radius = std::sqrt(-2.0 * std::log(to_unit_interval(word[0], word[1])));
  const double angle = 2.0 * std::numbers::pi * to_unit_interval(word[2], word[3]);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

double RandomStream::normal(uint64_t index) const {
  const auto [even, odd] = normal_pair(index / 2);
  return index % 2 == 0 ? even : odd;
}

uint32_t RandomStream::below(uint64_t index, uint32_t bound) const {
  // Multiply-shift; its bias, below 2^-32 * bound, is of no account for what it draws.
  return static_cast<uint32_t>((static_cast<uint64_t>(bits(index)[0]) * bound) >> 32);
}

}  // namespace borealis
