#include "tokenizer/word_cache.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tokenizer/piece_table.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

TEST(WordCache, TellsWordsApart) {
  WordCache cache;
  std::map<std::string, int32_t> known;
  std::mt19937 random(3);
  // Words of every length from few letters share prefixes, suffixes and their first eight bytes.
  for (int i = 0; i < 20000; ++i) {
    std::string word(1 + random() % WordCache::kLongestWord, 'a');
    for (char& c : word) c = static_cast<char>(random() % 5 == 0 ? 0 : 'a' + random() % 2);
    const auto found = cache.find(word);
    const auto expected = known.find(word);
    ASSERT_EQ(found.has_value(), expected != known.end()) << i;
    if (found) {
      EXPECT_THAT(*found, ElementsAre(expected->second, 7));
    } else {
      cache.insert(word, std::vector<int32_t>{i, 7});
      known.emplace(word, i);
    }
  }
}

TEST(WordCache, ForgetsWhenItIsFull) {
  WordCache cache;
  cache.insert("first", std::vector<int32_t>{1});
  cache.insert("a word of more than fifteen bytes", {});
  EXPECT_TRUE(cache.find("a word of more than fifteen bytes")->empty());
  for (int i = 0; i < 1 << 17; ++i) cache.insert(fmt::format("w{}", i), std::vector<int32_t>{i});
  EXPECT_FALSE(cache.find("first").has_value());
  EXPECT_FALSE(cache.find("a word of more than fifteen bytes").has_value());
  EXPECT_THAT(*cache.find("w131071"), ElementsAre(131071));
}

TEST(PieceTable, FindsWhatWasInserted) {
  PieceTable table;
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.find(""), PieceTable::kNone);
  for (int i = 0; i < 5000; ++i) table.insert(fmt::format("piece{}", i), i);
  table.insert("", 6000);
  table.insert("piece7", 7000);
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(table.find(fmt::format("piece{}", i)), i == 7 ? 7000 : i);
  }
  EXPECT_EQ(table.find(""), 6000);
  EXPECT_EQ(table.find("piece"), PieceTable::kNone);
}

}  // namespace
}  // namespace borealis
