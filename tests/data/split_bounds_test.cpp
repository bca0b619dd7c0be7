#include "data/split_bounds.h"

#include "data/data_test_support.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SplitBounds, EqualTheReferenceVectors) {
  const SplitShares shares = {990, 10, 0};
  EXPECT_THAT(split_bounds(shares, 50), ElementsAre(0, 50, 50, 50));
  EXPECT_THAT(split_bounds(shares, 51), ElementsAre(0, 50, 51, 51));
  EXPECT_THAT(split_bounds(shares, 100), ElementsAre(0, 99, 100, 100));
  EXPECT_THAT(split_bounds(shares, 150), ElementsAre(0, 148, 150, 150));
  EXPECT_THAT(split_bounds(shares, 250), ElementsAre(0, 248, 250, 250));
  EXPECT_THAT(split_bounds(shares, 1234), ElementsAre(0, 1222, 1234, 1234));
}

TEST(SplitBounds, RoundHalfToEven) {
  EXPECT_THAT(split_bounds({1, 1, 0}, 5), ElementsAre(0, 3, 5, 5));  // 2 + 2, shifted by one
  EXPECT_THAT(split_bounds({1, 1, 0}, 3), ElementsAre(0, 1, 3, 3));  // 2 + 2, shifted back by one
}

TEST(SplitBounds, StayInsideForAnyShares) {
  for (int a = 0; a < 6; ++a) {
    for (int b = 0; b < 6; ++b) {
      for (int c = a + b == 0 ? 1 : 0; c < 6; ++c) {
        for (int64_t n = 0; n < 40; ++n) {
          const auto bounds = split_bounds({1.0 * a, 1.0 * b, 1.0 * c}, n);
          EXPECT_EQ(bounds[0], 0);
          EXPECT_LE(bounds[0], bounds[1]);
          EXPECT_LE(bounds[1], bounds[2]);
          EXPECT_LE(bounds[2], bounds[3]);
          EXPECT_EQ(bounds[3], n);
        }
      }
    }
  }
}

TEST(ParseSplit, ReadsOneToThreeNumbers) {
  EXPECT_THAT(parse_split("990,10,0"), ElementsAre(990, 10, 0));
  EXPECT_THAT(parse_split("969, 30, 1"), ElementsAre(969, 30, 1));
  EXPECT_THAT(parse_split("0.9,0.1,0"), ElementsAre(0.9, 0.1, 0));
  EXPECT_THAT(parse_split("98,2"), ElementsAre(98, 2, 0));
  EXPECT_THAT(parse_split("98/1.5/.5"), ElementsAre(98, 1.5, 0.5));
  EXPECT_THAT(parse_split("1"), ElementsAre(1, 0, 0));
}

TEST(ParseSplit, RefusesAnythingElse) {
  for (const char* text : {"", "990,10,0,0", "a,b,c", "1,,2", "1,2,", "1/2,3", "1 2", "nan,1",
                           "inf", "0,0,0", "9,-1,0", "1e13"}) {
    EXPECT_ERROR_THAT(parse_split(text), ErrorKind::kConfig, HasSubstr("the split '"));
  }
}

TEST(SplitBounds, OfFractionsAreThoseOfWholeNumbers) {
  for (int64_t n = 0; n < 3000; n += 7) {
    EXPECT_EQ(split_bounds(parse_split("0.75,0.25"), n), split_bounds({3, 1, 0}, n)) << n;
  }
}

}  // namespace
}  // namespace borealis
