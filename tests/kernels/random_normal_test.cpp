#include "kernels/random_normal.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <vector>

#include "base/dtype.h"

namespace borealis {
namespace {

// Half a unit of f32 for the rounding; the f64 arithmetic before it differs by 1e-15 or so, and
// near sin(2 pi) = 0 by the rounding of 2 pi, 1e-15 of the radius.
TEST(FillNormal, AgreesWithTheScalarStream) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1234}, uint64_t{0xFEDCBA9876543210}}) {
    const RandomStream random(seed, seed >> 3);
    for (const int64_t size : {1, 2, 7, 2047, 2048, 2049, 100001}) {
      std::vector<float> values(static_cast<size_t>(size) + 1, 7.0f);
      fill_normal(random, 0.25, 0, values.data(), size);
      for (int64_t i = 0; i < size; ++i) {
        const double exact = 0.25 * random.normal(static_cast<uint64_t>(i));
        EXPECT_NEAR(values[static_cast<size_t>(i)], exact, std::abs(exact) * 0x1p-24 + 1e-14);
      }
      EXPECT_EQ(values[static_cast<size_t>(size)], 7.0f) << "nothing is written behind the end";
    }
  }
}

// What a rank draws that owns a part of a parameter.
TEST(FillNormal, APartHasTheBitsOfTheWhole) {
  const RandomStream random(5, 9);
  std::vector<bf16> whole(9000);
  fill_normal(random, 1.0, 0, whole.data(), 9000);
  for (const int64_t first : {0, 1, 1024, 2047, 4001}) {
    for (const int64_t size : {0, 1, 2, 2048, 4999}) {
      std::vector<bf16> part(static_cast<size_t>(size) + 1, bf16(7.0f));
      fill_normal(random, 1.0, first, part.data(), size);
      for (int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(part[static_cast<size_t>(i)].bits, whole[static_cast<size_t>(first + i)].bits);
      }
      EXPECT_EQ(static_cast<float>(part.back()), 7.0f) << "nothing is written behind the end";
    }
  }
}

TEST(FillNormal, SameBitsForAnyNumberOfThreads) {
  const RandomStream random(5, 9);
  std::vector<bf16> first(30001), other(30001);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  fill_normal(random, 1.0, 0, first.data(), 30001);
  omp_set_num_threads(3);
  fill_normal(random, 1.0, 0, other.data(), 30001);
  omp_set_num_threads(before);
  for (size_t i = 0; i < first.size(); ++i) ASSERT_EQ(first[i].bits, other[i].bits) << i;
}

// Of 10^6 numbers the mean is within 5 / sqrt(n) of 0, the variance within 5 sqrt(2 / n) of 1.
TEST(FillNormal, HasTheMomentsOfANormal) {
  constexpr int64_t kSize = 1'000'000;
  std::vector<float> values(kSize);
  fill_normal(RandomStream(42, 0), 1.0, 0, values.data(), kSize);
  double sum = 0, squares = 0;
  for (const float value : values) sum += value, squares += double{value} * value;
  EXPECT_NEAR(sum / kSize, 0, 5 / std::sqrt(kSize));
  EXPECT_NEAR(squares / kSize, 1, 5 * std::sqrt(2.0 / kSize));
}

}  // namespace
}  // namespace borealis
