#include "tokenizer/long_word_merger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/random.h"

namespace borealis {
namespace {

// The definition: the merge of lowest rank, the leftmost of these, again and again.
std::vector<int32_t> merged_one_by_one(const MergeTable& merges, std::vector<int32_t> pieces) {
  for (;;) {
    const MergeTable::Entry* best = nullptr;
    size_t place = 0;
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto* merge = merges.find(pieces[i], pieces[i + 1]);
      if (merge == nullptr || (best != nullptr && merge->rank >= best->rank)) continue;
      best = merge;
      place = i;
    }
    if (best == nullptr) return pieces;
    pieces[place] = best->result;
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

std::vector<int32_t> merged(const MergeTable& merges, std::vector<int32_t> pieces, size_t few) {
  LongWordMerger(merges, pieces, few).run();
  return pieces;
}

// Pieces of up to `longest` of some letters, each made of random halves; ids 0 .. letters - 1 are
// the letters. `sorted`: as training makes them, where a merge comes after those that make its
// halves; else in any order.
std::vector<Merge> random_merges(int32_t letters, int64_t count, size_t longest, bool sorted,
                                 uint64_t seed) {
  const RandomStream random(seed, 1);
  std::vector<std::string> pieces;
  std::map<std::string, int32_t> ids;
  for (int32_t i = 0; i < letters; ++i) {
    pieces.emplace_back(1, static_cast<char>('a' + i));
    ids[pieces.back()] = i;
  }
  std::vector<Merge> merges;
  for (uint64_t i = 0; static_cast<int64_t>(merges.size()) < count; ++i) {
    const auto left = static_cast<int32_t>(random.below(2 * i, pieces.size()));
    const auto right = static_cast<int32_t>(random.below(2 * i + 1, pieces.size()));
    const std::string piece =
        pieces[static_cast<size_t>(left)] + pieces[static_cast<size_t>(right)];
    if (piece.size() > longest) continue;
    const auto [place, is_new] = ids.emplace(piece, static_cast<int32_t>(pieces.size()));
    if (is_new) pieces.push_back(piece);
    merges.push_back({left, right, place->second});
  }
  if (sorted) return merges;
  for (size_t i = merges.size(); i > 1; --i) {
    std::swap(merges[i - 1], merges[random.below(1'000'000 + i, i)]);
  }
  return merges;
}

TEST(LongWordMerger, MergesInTheOrderOfTheDefinition) {
  uint64_t cases = 0;
  for (const bool sorted : {true, false}) {
    for (uint64_t seed = 1; seed <= 60; ++seed) {
      const auto letters = static_cast<int32_t>(1 + seed % 4);
      const MergeTable merges(
          random_merges(letters, 4 + static_cast<int64_t>(seed) / 2, 9, sorted, seed));
      const RandomStream random(seed, 2);
      for (const size_t size : {1, 2, 3, 17, 200, 700}) {
        std::vector<int32_t> pieces;
        for (size_t i = 0; i < size; ++i) {
          pieces.push_back(
              static_cast<int32_t>(random.below(cases++, static_cast<uint64_t>(letters))));
        }
        const std::vector<int32_t> expected = merged_one_by_one(merges, pieces);
        // So few candidates that ranks go alone, some together, and all at once.
        for (const size_t few : {1, 5, 40, 10'000}) {
          ASSERT_EQ(merged(merges, pieces, few), expected)
              << (sorted ? "sorted" : "in any order") << ", seed " << seed << ", " << size
              << " pieces, " << few << " candidates";
        }
      }
    }
  }
}

TEST(LongWordMerger, ARunOfOneLetterBecomesItsLongestPieces) {
  std::vector<Merge> merges;
  for (int32_t i = 0; i < 10; ++i) merges.push_back({i, i, i + 1});
  const auto pieces = merged(MergeTable(merges), std::vector<int32_t>(3 * 1024 + 513, 0), 8);
  EXPECT_THAT(pieces, ::testing::ElementsAre(10, 10, 10, 9, 0));
}

}  // namespace
}  // namespace borealis
