#include "data/corpus_order.h"

#include <algorithm>

#include "data/data_test_support.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Pair = std::pair<int64_t, int64_t>;

std::vector<Pair> all(const CorpusOrder& order) {
  std::vector<Pair> out;
  for (int64_t i = 0; i < order.sample_count(); ++i) {
    const auto [member, number] = order.at(i);
    out.emplace_back(member, number);
  }
  return out;
}

TEST(CorpusOrder, LaysFilesEndToEnd) {
  EXPECT_THAT(all(CorpusOrder({{2, 9}, {0, 9}, {1, 1}}, {}, "c")),
              ElementsAre(Pair{0, 0}, Pair{0, 1}, Pair{2, 0}));
}

TEST(CorpusOrder, BlendsFilesByTheirSizes) {
  EXPECT_THAT(all(CorpusOrder({{5, 9}, {3, 3}, {2, 4}}, {.blend = true}, "c")),
              ElementsAre(Pair{0, 0}, Pair{1, 0}, Pair{2, 0}, Pair{0, 1}, Pair{1, 1}, Pair{0, 2},
                          Pair{2, 1}, Pair{0, 3}, Pair{1, 2}, Pair{0, 4}));
}

// The contract: sizes 0, 30, 18 give 1, 29, 18.
TEST(CorpusOrder, DrawsAFileWithoutWeightAsTheReferenceDoes) {
  const auto pairs = all(CorpusOrder({{0, 4}, {30, 31}, {18, 20}}, {.blend = true}, "c"));
  const auto of = [&](int64_t member) {
    return std::ranges::count_if(pairs, [&](const Pair& pair) { return pair.first == member; });
  };
  EXPECT_EQ(of(0), 1);
  EXPECT_EQ(of(1), 29);
  EXPECT_EQ(of(2), 18);
  EXPECT_ERROR_THAT(
      CorpusOrder({{0, 0}, {30, 31}, {18, 20}}, {.blend = true}, "c"), ErrorKind::kData,
      HasSubstr("blending the corpus c takes sample 0 of its file number 1, which has 0"));
}

TEST(CorpusOrder, ShufflesPlaces) {
  const CorpusOrder order({{6, 6}, {4, 4}}, {.shuffle = true, .seed = 1234}, "c");
  // NumPy: shuffling 0..9 with seed 1234 gives 7 2 9 1 0 8 4 5 6 3.
  EXPECT_THAT(all(order), ElementsAre(Pair{1, 1}, Pair{0, 2}, Pair{1, 3}, Pair{0, 1}, Pair{0, 0},
                                      Pair{1, 2}, Pair{0, 4}, Pair{0, 5}, Pair{1, 0}, Pair{0, 3}));
}

TEST(CorpusOrder, CanHaveNoSamples) {
  EXPECT_EQ(CorpusOrder({}, {.blend = true, .shuffle = true}, "c").sample_count(), 0);
  EXPECT_EQ(CorpusOrder({{0, 3}}, {.blend = true, .shuffle = true}, "c").sample_count(), 0);
}

}  // namespace
}  // namespace borealis
