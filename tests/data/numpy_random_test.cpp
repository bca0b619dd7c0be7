#include "data/numpy_random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace borealis {
namespace {

using ::testing::ElementsAre;

TEST(NumpyRandom, ShufflesAsRandomStateDoes) {
  std::vector<int> values(10);
  std::iota(values.begin(), values.end(), 0);
  NumpyRandom random(1234);
  random.shuffle(std::span<int>(values));
  EXPECT_THAT(values, ElementsAre(7, 2, 9, 1, 0, 8, 4, 5, 6, 3));
}

TEST(NumpyRandom, GivesTheStandardOutputsUnderAFullMask) {
  NumpyRandom random(1234);
  std::vector<uint64_t> outputs;
  for (int i = 0; i < 5; ++i) outputs.push_back(random.up_to(0xffffffffu));
  EXPECT_THAT(outputs, ElementsAre(822569775u, 2137449171u, 2671936806u, 3512589365u, 1880026316u));
}

TEST(NumpyRandom, TakesTwoOutputsAboveThirtyTwoBits) {
  NumpyRandom random(1234);
  EXPECT_EQ(random.up_to(~uint64_t{0}), (uint64_t{822569775u} << 32) | 2137449171u);
}

TEST(NumpyRandom, RejectsWhatIsAboveTheLimit) {
  NumpyRandom random(7);
  for (int i = 0; i < 10000; ++i) EXPECT_LE(random.up_to(4), 4u);
  NumpyRandom fresh(1234);
  EXPECT_EQ(fresh.up_to(0), 0u);  // draws nothing:
  EXPECT_EQ(fresh.up_to(0xffffffffu), 822569775u);
}

TEST(NumpyRandom, ShufflesNothingAndOne) {
  std::vector<int> none;
  std::vector<int> one = {3};
  NumpyRandom random(1);
  random.shuffle(std::span<int>(none));
  random.shuffle(std::span<int>(one));
  EXPECT_THAT(one, ElementsAre(3));
}

double sum_in_order(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

TEST(NumpySum, IsALoopBelowEight) {
  const std::vector<double> values = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7};
  EXPECT_EQ(numpy_sum(values), sum_in_order(values));
}

TEST(NumpySum, CombinesEightLanesAndThenTheRest) {
  std::vector<double> v;
  for (int i = 1; i <= 19; ++i) v.push_back(1.0 / i);
  double lane[8];
  for (int j = 0; j < 8; ++j) lane[j] = v[j] + v[8 + j];
  const double blocks =
      ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  EXPECT_EQ(numpy_sum(v), ((blocks + v[16]) + v[17]) + v[18]);
}

TEST(NumpySum, SplitsLongArraysAtAMultipleOfEight) {
  std::vector<double> v;
  for (int i = 1; i <= 301; ++i) v.push_back(1.0 / (i * i));
  const std::span<const double> all(v);
  // 301 -> 144 + 157, and 144 -> 72 + 72, 157 -> 72 + 85.
  const double expected = (numpy_sum(all.subspan(0, 72)) + numpy_sum(all.subspan(72, 72))) +
                          (numpy_sum(all.subspan(144, 72)) + numpy_sum(all.subspan(216, 85)));
  EXPECT_EQ(numpy_sum(v), expected);
}

// From numpy 2.4: a = 1 / np.arange(1, n + 1); np.sum(a).
TEST(NumpySum, EqualsRecordedValues) {
  const auto harmonic = [](int n) {
    std::vector<double> v;
    for (int i = 1; i <= n; ++i) v.push_back(1.0 / i);
    return numpy_sum(v);
  };
  EXPECT_EQ(harmonic(7), 0x1.4be2be2be2be2p+1);
  EXPECT_EQ(harmonic(8), 0x1.5be2be2be2be2p+1);
  EXPECT_EQ(harmonic(14), 0x1.a03331bebed4bp+1);
  EXPECT_EQ(harmonic(100), 0x1.4bfdfe4591243p+2);
  EXPECT_EQ(harmonic(128), 0x1.5bb8ae9541ca7p+2);
  EXPECT_EQ(harmonic(129), 0x1.5c37b09149ba9p+2);
  EXPECT_EQ(harmonic(1000), 0x1.df11f45f4e61ap+2);
  EXPECT_EQ(harmonic(4097), 0x1.1ca6b0cd81c29p+3);
}

}  // namespace
}  // namespace borealis
