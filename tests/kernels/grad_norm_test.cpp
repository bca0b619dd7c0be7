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
                            kSumBlock + 1, 3 * kSumBlock + 777, 300 * kSumBlock + 1}) {
      const auto x = random_values<float>(n, 1);
      const auto wide = to_double(x);
      EXPECT_NEAR(sum_of_squares(x.data(), n), dot(wide, wide), 1e-11 * static_cast<double>(n));
    }
  });
}

TEST(SumOfSquares, CoversMoreBlocksThanOneRound) {
  const int64_t n = 65 * 1024 * kSumBlock + 3;
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
    const auto x = random_values<float>(200 * kSumBlock + 13, 1);
    const auto n = static_cast<int64_t>(x.size());
    const double expected = sum_of_squares(x.data(), n);
    for_each_thread_count([&] { EXPECT_EQ(sum_of_squares(x.data(), n), expected); });
    EXPECT_EQ(sum_of_squares(Misaligned<float>(x).data(), n), expected);
  });
}

// What ZeRO's ranks rely on: each has a part of the numbers.
TEST(SumOfSquares, NodesOfTheTreeAddUpToTheSameBits) {
  const auto x = random_values<float>(1000 * kSumBlock + 5, 1);
  const auto n = static_cast<int64_t>(x.size());
  const double expected = sum_of_squares(x.data(), n);
  for (const int64_t blocks : {64, 128, 512}) {
    PairwiseSum sum;
    for (int64_t at = 0; at < n; at += blocks * kSumBlock) {
      sum.add(sum_of_squares(x.data() + at, std::min(blocks * kSumBlock, n - at)));
    }
    EXPECT_EQ(sum.total(), expected) << blocks;
  }
}

TEST(SumOfSquares, OfRowsInTheGivenOrder) {
  const int64_t size = 1500;
  const auto x = random_values<float>(9 * size, 1);
  const std::vector<int32_t> rows = {7, 0, 3, 8};
  PairwiseSum sum;
  for (const int32_t row : rows) sum.add(sum_of_squares(x.data() + row * size, size));
  EXPECT_EQ(sum_of_squares_of_rows(x.data(), rows, size), sum.total());
}

}  // namespace
}  // namespace borealis
