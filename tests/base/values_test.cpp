// bf16, random streams, units, memory.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/dtype.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/random.h"
#include "base/units.h"

namespace borealis {
namespace {

TEST(Bf16, RoundsToNearestEven) {
  const auto rounded = [](float value) { return static_cast<float>(bf16(value)); };
  EXPECT_EQ(rounded(1.0f), 1.0f);
  EXPECT_EQ(rounded(1.0f + 0x1p-8f), 1.0f);            // a tie: the even neighbour is below
  EXPECT_EQ(rounded(1.0f + 0x3p-8f), 1.0f + 0x1p-6f);  // a tie: the even neighbour is above
  EXPECT_EQ(rounded(1.0f + 0x1.01p-8f), 1.0f + 0x1p-7f);
  EXPECT_EQ(rounded(-0.0f), 0.0f);
  EXPECT_TRUE(std::signbit(rounded(-0.0f)));
  EXPECT_TRUE(std::isinf(rounded(std::numeric_limits<float>::infinity())));
  EXPECT_TRUE(std::isinf(rounded(std::numeric_limits<float>::max())));
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
}

TEST(SplitF32, HoldsEveryBit) {
  const RandomStream random(7, 1);
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto bits = random.bits(i)[0];
    const auto value = std::bit_cast<float>(bits);
    if (std::isnan(value)) continue;
    const SplitF32 split = SplitF32::of(value);
    EXPECT_EQ(std::bit_cast<uint32_t>(split.whole()), bits);
    if (split.remainder != 0x8000) {
      EXPECT_EQ(split.rounded.bits, bf16(value).bits);
    }
  }
  const SplitF32 tie = SplitF32::of(1.0f + 0x1p-8f);
  EXPECT_EQ(static_cast<float>(tie.rounded), 1.0f + 0x1p-7f);  // away from zero
  EXPECT_EQ(tie.whole(), 1.0f + 0x1p-8f);
  EXPECT_EQ(SplitF32::of(-0.0f).rounded.bits, 0x8000);
}

// Known answer of Random123's philox4x32-10 for a zero counter and key.
TEST(RandomStream, IsPhilox) {
  const auto bits = RandomStream(0, 0).bits(0);
  EXPECT_EQ(bits[0], 0x6627e8d5u);
  EXPECT_EQ(bits[1], 0xe169c58du);
  EXPECT_EQ(bits[2], 0xbc57ac4cu);
  EXPECT_EQ(bits[3], 0x9b00dbd8u);
}

TEST(RandomStream, HasTheMomentsItPromises) {
  const RandomStream random(1234, 5);
  constexpr int kDraws = 20000;
  double sum = 0, squares = 0, uniform = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double x = random.normal(i), u = random.uniform(i);
    sum += x;
    squares += x * x;
    uniform += u;
    EXPECT_GT(u, 0);
    EXPECT_LT(u, 1);
    EXPECT_LT(random.below(i, 7), 7u);
  }
  EXPECT_NEAR(sum / kDraws, 0, 4 / std::sqrt(kDraws));  // four standard errors
  EXPECT_NEAR(squares / kDraws, 1, 4 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(uniform / kDraws, 0.5, 4 / std::sqrt(12.0 * kDraws));
}

TEST(Units, ReadLikePeopleWriteThem) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(int64_t{3} << 30), "3.00 GiB");
  EXPECT_EQ(format_count(1975544832), "1 975 544 832");
  EXPECT_EQ(format_count(-1234), "-1 234");
  EXPECT_EQ(format_duration(190), "3 min 10 s");
  EXPECT_EQ(parse_bytes("20GiB"), int64_t{20} << 30);
  EXPECT_EQ(parse_bytes("20 GB"), 20'000'000'000);
  EXPECT_EQ(parse_bytes("512M"), int64_t{512} << 20);
  EXPECT_EQ(parse_bytes("1e9"), 1'000'000'000);
  for (const char* wrong : {"1.5", "2.25 B", "", "twenty", "5 apples", "-1", "1e300"}) {
    EXPECT_EQ(parse_bytes(wrong), std::nullopt) << wrong;
  }
}

TEST(PageBuffer, IsZeroedAndTouched) {
  const int64_t before = resident_bytes();
  constexpr size_t kSize = size_t{48} << 20;
  PageBuffer buffer(kSize, "a test");
  EXPECT_GE(resident_bytes() - before, static_cast<int64_t>(kSize * 9 / 10));
  EXPECT_EQ(buffer.data()[kSize - 1], std::byte{0});
  const PageBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.size_bytes(), kSize);
}

TEST(MemoryLimit, IsTheSmallest) {
  const MemoryLimit machine = memory_limit(std::nullopt);
  EXPECT_GT(machine.bytes, int64_t{64} << 20);
  const MemoryLimit user = memory_limit(1000);
  EXPECT_EQ(user.bytes, 1000);
  EXPECT_EQ(user.source, kGivenLimit);
  EXPECT_NE(memory_limit(int64_t{1} << 60).source, kGivenLimit);
}

TEST(Process, KnowsItsAgeAndCores) {
  EXPECT_GE(process_age_s(), 0);
  EXPECT_LT(process_age_s(), 3600);
  EXPECT_GE(usable_cores(), 1);
}

}  // namespace
}  // namespace borealis
