#include "checkpoint/tensor_difference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/small_folders.h"

namespace borealis::testing {
namespace {

TensorDifference difference(const std::vector<float>& a, const std::vector<float>& b) {
  const Values left{{static_cast<int64_t>(a.size())}, a},
      right{{static_cast<int64_t>(b.size())}, b};
  return compare_tensors(elements_in("a", left), elements_in("b", right));
}

TEST(TensorDifference, CountsAndMeasures) {
  const TensorDifference found = difference({3, 4, 1, 0}, {3, 4.5, 1, -0.0f});
  EXPECT_EQ(found.elements, 4);
  EXPECT_EQ(found.different, 1);
  EXPECT_EQ(found.max_absolute, 0.5);
  EXPECT_DOUBLE_EQ(found.relative, 0.5 / std::sqrt(26.0));
}

TEST(TensorDifference, OfEqualTensorsIsNothing) {
  const TensorDifference found = difference({0, NAN, INFINITY}, {0, NAN, INFINITY});
  EXPECT_EQ(found.different, 0);
  EXPECT_EQ(found.max_absolute, 0);
  EXPECT_EQ(found.relative, 0);
}

TEST(TensorDifference, IsInfiniteWhereOnlyOneIsFinite) {
  for (const float other : {NAN, INFINITY}) {
    const TensorDifference found = difference({1, 2}, {1, other});
    EXPECT_EQ(found.different, 1);
    EXPECT_EQ(found.max_absolute, INFINITY);
  }
  EXPECT_EQ(difference({0, 0}, {0, 1}).relative, INFINITY);
}

TEST(TensorDifference, SeesTheLastElementOfManyParts) {
  std::vector<float> a(static_cast<size_t>(2 * kElementsAtATime + 5), 1.0f), b = a;
  b.back() = 3;
  EXPECT_EQ(difference(a, b).different, 1);
  EXPECT_EQ(difference(a, b).max_absolute, 2);
}

TEST(NonFinite, AreCounted) {
  const Values values{{5}, {1, NAN, -INFINITY, INFINITY, 0}};
  const NonFiniteCount count = count_non_finite(elements_in("a", values));
  EXPECT_EQ(count.nan, 1);
  EXPECT_EQ(count.infinite, 2);
}

TEST(NonFinite, AreCountedAsTheyAreReadAndOnce) {
  NonFiniteCount count;
  const Values values{{2, 3}, {1, NAN, INFINITY, 4, -INFINITY, NAN}};
  const TensorElements tensor = counting_non_finite(elements_in("a", values), count);
  for_each_part(tensor, 3, [](int64_t, std::span<const float>) {});
  EXPECT_EQ(count.nan, 1);
  EXPECT_EQ(count.infinite, 1);
  for_each_part(tensor, 6, [](int64_t, std::span<const float>) {});
  for_each_part(tensor, 6, [](int64_t, std::span<const float>) {});
  EXPECT_EQ(count.nan, 2);
  EXPECT_EQ(count.infinite, 2);
}

}  // namespace
}  // namespace borealis::testing
