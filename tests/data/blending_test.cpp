#include "data/blending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace borealis {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> sources(std::vector<double> weights, int64_t count) {
  GreedyBlend blend(std::move(weights));
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(blend.next().source);
  return out;
}

TEST(GreedyBlend, EqualsTheReferenceVector) {
  EXPECT_THAT(sources({.5, .3, .2}, 10), ElementsAre(0, 1, 2, 0, 1, 0, 2, 0, 1, 0));
}

TEST(GreedyBlend, CountsTheSamplesOfEachSource) {
  GreedyBlend blend({.5, .5});
  EXPECT_EQ(blend.next().number, 0);
  EXPECT_EQ(blend.next().number, 0);
  EXPECT_EQ(blend.next().number, 1);
  EXPECT_EQ(blend.step(), 3);
}

TEST(GreedyBlend, DrawsAMemberOfNoSizeAsTheReferenceDoes) {
  const std::vector<int64_t> order = sources({0.0, 30.0 / 48, 18.0 / 48}, 48);
  EXPECT_EQ(std::count(order.begin(), order.end(), 0), 1);
  EXPECT_EQ(std::count(order.begin(), order.end(), 1), 29);
  EXPECT_EQ(std::count(order.begin(), order.end(), 2), 18);
}

TEST(GreedyBlend, MeetsTheSizesExactly) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> sizes(1 + random() % 20);
    int64_t total = 0;
    for (int64_t& size : sizes) total += size = 1 + random() % 200;
    std::vector<int64_t> taken(sizes.size(), 0);
    GreedyBlend blend(corpus_weights(sizes, total));
    for (int64_t i = 0; i < total; ++i) ++taken[static_cast<size_t>(blend.next().source)];
    EXPECT_EQ(taken, sizes);
  }
}

TEST(FileSampleCounts, AddHalfAPercentAndRoundUp) {
  const std::vector<double> one = {3.0};
  EXPECT_THAT(file_sample_counts(one, 1000), ElementsAre(1005));
  EXPECT_THAT(file_sample_counts(one, 1), ElementsAre(2));
  const std::vector<double> three = {1, 2, 0};
  EXPECT_THAT(file_sample_counts(three, 300), ElementsAre(101, 201, 0));
}

TEST(CorpusWeights, AreSharesOfOne) {
  const std::vector<int64_t> samples = {1, 3};
  EXPECT_THAT(corpus_weights(samples, 7), ElementsAre(0.25, 0.75));
}

}  // namespace
}  // namespace borealis
