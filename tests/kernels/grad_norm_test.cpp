#include "kernels/grad_norm.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;

TEST(SumOfSquares, AgreesWithPlainSum) {
  for_each_target([] {
    for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{100}, kSumBlock,
                            kSumBlock + 1, 3 * kSumBlock + 777}) {
      const auto x = random_values<float>(n, 1);
      const auto wide = to_double(x);
      EXPECT_NEAR(sum_of_squares(x.data(), n), dot(wide, wide), 1e-11 * static_cast<double>(n));
    }
  });
}

TEST(SumOfSquares, CoversMoreBlocksThanOneRound) {
  const int64_t n = 1024 * kSumBlock + 3;
  const std::vector<float> ones(static_cast<size_t>(n), 1.0f);
  EXPECT_EQ(sum_of_squares(ones.data(), n), static_cast<double>(n));
}

TEST(SumOfSquares, DoesNotOverflowWhereF32Would) {
  const std::vector<float> x(100, 1e30f);
  EXPECT_NEAR(sum_of_squares(x.data(), 100) / 1e62, 1.0, 1e-6);
}

TEST(SumOfSquares, NonFiniteComesThrough) {
  for_each_target([] {
    for (const size_t at : {size_t{0}, size_t{5}, size_t{99}, size_t{70000}}) {
      auto x = random_values<float>(70001, 1);
      x[at] = NAN;
      EXPECT_TRUE(std::isnan(sum_of_squares(x.data(), 70001)));
      x[at] = -std::numeric_limits<float>::infinity();
      EXPECT_TRUE(std::isinf(sum_of_squares(x.data(), 70001)));
    }
  });
}

TEST(SumOfSquares, SameBitsForAnyThreadsAndAlignment) {
  for_each_target([] {
    const auto x = random_values<float>(5 * kSumBlock + 13, 1);
    const auto n = static_cast<int64_t>(x.size());
    const double expected = sum_of_squares(x.data(), n);
    for_each_thread_count([&] { EXPECT_EQ(sum_of_squares(x.data(), n), expected); });
    EXPECT_EQ(sum_of_squares(Misaligned<float>(x).data(), n), expected);
  });
}

}  // namespace
}  // namespace borealis
