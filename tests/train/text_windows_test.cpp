#include "train/text_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "kernels/cross_entropy.h"
#include "support/expect_error.h"
#include "support/listed_documents.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using testing::ListedDocuments;

std::vector<TextWindow> windows_of(int64_t length, int64_t seq_length, int64_t stride) {
  std::vector<TextWindow> windows;
  cut_windows(0, length, seq_length, stride, [&](const TextWindow& w) { windows.push_back(w); });
  return windows;
}

TEST(TextWindows, EveryTokenBehindTheFirstCountsOnce) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const int64_t length = static_cast<int64_t>(random() % 60);
    const int64_t seq_length = 1 + static_cast<int64_t>(random() % 20);
    const int64_t stride = 1 + static_cast<int64_t>(random()) % seq_length;
    int64_t next = 1;
    for (const TextWindow& w : windows_of(length, seq_length, stride)) {
      ASSERT_EQ(w.counts_from, next);
      ASSERT_GT(w.counts_from, w.first);
      ASSERT_LE(w.inputs, seq_length);
      next = w.first + w.inputs + 1;
      ASSERT_GT(next, w.counts_from) << "a window that counts nothing";
      // What the first prediction that counts sees.
      if (w.first > 0) {
        ASSERT_GE(w.counts_from - w.first, seq_length - stride + 1);
      }
    }
    ASSERT_EQ(next, std::max<int64_t>(length, 1));
  }
}

// By hand: 10 tokens, windows of 4, 2 apart.
TEST(TextWindows, OverlapIsNotCountedTwice) {
  std::vector<std::vector<int64_t>> seen;
  for (const TextWindow& w : windows_of(10, 4, 2)) {
    seen.push_back({w.first, w.inputs, w.counts_from});
  }
  EXPECT_THAT(seen, ElementsAre(ElementsAre(0, 4, 1), ElementsAre(2, 4, 5), ElementsAre(4, 4, 7),
                                ElementsAre(6, 3, 9)));
}

TEST(TextWindows, ShareARowWithPositionsAndAttentionOfTheirOwn) {
  const ListedDocuments documents({{10, 11, 12, 13}, {20, 21, 22}, {30, 31, 32, 33}});
  WindowBatch batch(2, 6, 100);
  ASSERT_TRUE(batch.add({0, 0, 3, 2}, documents));  // counts 12 and 13
  ASSERT_TRUE(batch.add({1, 0, 2, 1}, documents));
  ASSERT_TRUE(batch.add({2, 0, 3, 1}, documents));  // does not fit behind the others
  EXPECT_FALSE(batch.add({0, 0, 4, 1}, ListedDocuments({{1, 2, 3, 4, 5}})));
  EXPECT_EQ(batch.counted(), 7);
  const int32_t no = kNoTarget;
  EXPECT_THAT(batch.batch().tokens, ElementsAre(10, 11, 12, 20, 21, 0, 30, 31, 32, 0, 0, 0));
  EXPECT_THAT(batch.batch().targets, ElementsAre(no, 12, 13, 21, 22, no, 31, 32, 33, no, no, no));
  EXPECT_THAT(batch.batch().positions, ElementsAre(0, 1, 2, 0, 1, 0, 0, 1, 2, 0, 0, 0));
  EXPECT_THAT(batch.batch().document_starts, ElementsAre(0, 0, 0, 3, 3, 5, 0, 0, 0, 3, 3, 3));
  batch.clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.batch().loss_tokens(), 0);
}

TEST(TextWindows, WhatStaysEmptyAreFewDocuments) {
  const ListedDocuments documents({{10, 11, 12, 13}});
  WindowBatch batch(2, 200, 100);
  const auto lengths = [&] { return document_lengths(batch.batch()); };
  EXPECT_THAT(lengths(), ElementsAre(64, 64, 64, 8, 64, 64, 64, 8));
  ASSERT_TRUE(batch.add({0, 0, 3, 1}, documents));
  EXPECT_THAT(lengths(), ElementsAre(3, 61, 64, 64, 8, 64, 64, 64, 8));
}

TEST(TextWindows, AnIdBeyondTheVocabularyIsNamed) {
  WindowBatch batch(1, 8, 100);
  EXPECT_ERROR(batch.add({0, 0, 2, 1}, ListedDocuments({{5, 6, 100}})), ErrorKind::kData,
               "document 0 has the token id 100 at position 2", "vocabulary ends at 99");
}

}  // namespace
}  // namespace borealis
