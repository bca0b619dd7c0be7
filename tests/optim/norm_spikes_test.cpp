#include "optim/norm_spikes.h"

#include <gtest/gtest.h>

namespace borealis {
namespace {

TEST(NormSpikes, WantsSomeNormsFirst) {
  NormSpikes spikes(2.0, 20);
  for (int i = 0; i < NormSpikes::kFewestNorms - 1; ++i) EXPECT_FALSE(spikes.add(1.0));
  EXPECT_FALSE(spikes.add(100.0));  // 15 before it
  EXPECT_TRUE(spikes.add(100.0));   // 16
  EXPECT_FALSE(spikes.add(2.0));    // not more than twice the median
  EXPECT_TRUE(spikes.add(2.1));
}

TEST(NormSpikes, FollowsALastingChange) {
  NormSpikes spikes(3.0, 16);
  for (int i = 0; i < 16; ++i) spikes.add(1.0);
  int skipped = 0;
  while (spikes.add(10.0)) ++skipped;
  EXPECT_EQ(skipped, 8);  // half of the window
  EXPECT_EQ(spikes.recent().size(), 16u);
}

TEST(NormSpikes, GoesOnFromItsNorms) {
  NormSpikes whole(1.5, 16), first(1.5, 16), second(1.5, 16);
  for (int i = 0; i < 30; ++i) {
    const double norm = 1 + 0.8 * (i * 7 % 5);
    const bool spike = whole.add(norm);
    if (i == 20) second.restore(first.recent());
    EXPECT_EQ((i < 20 ? first : second).add(norm), spike) << i;
  }
}

}  // namespace
}  // namespace borealis
