#include "data/sample_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace borealis {
namespace {

using ::testing::ElementsAre;
using Place = StreamPlace;

const std::vector<int32_t> kLengths = {5, 9, 3, 12, 7};

SequenceRange whole(const std::vector<int32_t>& lengths) {
  return {.first = 0,
          .last = static_cast<int64_t>(lengths.size()),
          .tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0})};
}

std::vector<int32_t> document_order(const SampleIndex& index) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < index.arrays().document_order.size(); ++i) {
    out.push_back(index.arrays().document_order[i]);
  }
  return out;
}

std::vector<Place> starts(const SampleIndex& index) {
  std::vector<Place> out;
  for (int64_t i = 0; i < index.arrays().starts.size(); ++i) {
    out.push_back(index.arrays().starts[i]);
  }
  return out;
}

std::vector<int64_t> sample_order(const SampleIndex& index) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < index.sample_count(); ++i) {
    out.push_back(index.arrays().sample_order[i]);
  }
  return out;
}

SampleIndex index_of(const std::vector<int32_t>& lengths, int64_t seq_length, int64_t samples) {
  return SampleIndex(PackedArray<int32_t>(lengths), whole(lengths), seq_length, samples, 1234);
}

TEST(SampleIndex, EqualsTheReferenceForOneEpoch) {
  const SampleIndex index = index_of(kLengths, 8, 4);
  EXPECT_EQ(sample_index_shape(whole(kLengths), 8, 4).epochs, 1);
  EXPECT_THAT(document_order(index), ElementsAre(4, 0, 1, 2, 3));
  EXPECT_THAT(starts(index),
              ElementsAre(Place{0, 0}, Place{1, 1}, Place{2, 4}, Place{4, 0}, Place{4, 8}));
  EXPECT_THAT(sample_order(index), ElementsAre(2, 1, 3, 0));
}

TEST(SampleIndex, EqualsTheReferenceForASeparateLastEpoch) {
  const auto shape = sample_index_shape(whole(kLengths), 8, 5);
  EXPECT_EQ(shape.epochs, 2);
  EXPECT_TRUE(shape.separate_last_epoch);
  const SampleIndex index = index_of(kLengths, 8, 5);
  EXPECT_THAT(document_order(index), ElementsAre(4, 0, 1, 2, 3, 3, 2, 1, 0, 4));
  EXPECT_THAT(starts(index),
              ElementsAre(Place{0, 0}, Place{1, 1}, Place{2, 4}, Place{4, 0}, Place{4, 8},
                          Place{5, 4}, Place{6, 0}, Place{7, 5}, Place{8, 4}));
  EXPECT_THAT(sample_order(index), ElementsAre(2, 0, 3, 1, 5, 4, 7, 6));
}

TEST(SampleIndex, EqualsTheReferenceForAJoinedLastEpoch) {
  const auto shape = sample_index_shape(whole(kLengths), 8, 8);
  EXPECT_EQ(shape.epochs, 2);
  EXPECT_FALSE(shape.separate_last_epoch);
  const SampleIndex index = index_of(kLengths, 8, 8);
  EXPECT_THAT(document_order(index), ElementsAre(2, 2, 4, 1, 0, 3, 4, 0, 1, 3));
  EXPECT_THAT(starts(index),
              ElementsAre(Place{0, 0}, Place{2, 2}, Place{3, 3}, Place{4, 2}, Place{5, 5},
                          Place{6, 1}, Place{7, 2}, Place{8, 5}, Place{9, 4}));
  EXPECT_THAT(sample_order(index), ElementsAre(7, 5, 6, 0, 4, 3, 2, 1));
}

std::vector<int64_t> tokens_of_sample(const SampleIndex& index,
                                      const std::vector<int64_t>& first_token, int64_t number) {
  std::vector<int64_t> tokens;
  index.for_each_piece(number, [&](int64_t sequence, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(first_token[static_cast<size_t>(sequence)] + first + i);
    }
  });
  return tokens;
}

// The definition, spelled out: lay the ordered documents end to end; sample j of the unshuffled
// order is stream[j*s .. j*s+s].
TEST(SampleIndex, CutsTheStreamOfDocumentsIntoWindows) {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    std::vector<int32_t> lengths(2 + random() % 12);
    for (int32_t& length : lengths) length = random() % 4 == 0 ? 0 : random() % 30;
    lengths[0] = 2;
    const auto first = static_cast<int64_t>(random() % 2);
    SequenceRange range{.first = first, .last = static_cast<int64_t>(lengths.size())};
    std::vector<int64_t> first_token(lengths.size(), 0);
    for (size_t i = 1; i < lengths.size(); ++i)
      first_token[i] = first_token[i - 1] + lengths[i - 1];
    for (int64_t i = range.first; i < range.last; ++i) range.tokens += lengths[i];
    if (range.tokens < 2) continue;
    const int64_t seq_length = 1 + random() % 20;
    const int64_t requested = 1 + random() % 40;

    const SampleIndex index(PackedArray<int32_t>(lengths), range, seq_length, requested, round);
    const auto shape = sample_index_shape(range, seq_length, requested);
    EXPECT_GE(index.sample_count(), requested);
    EXPECT_LT(((shape.epochs - 1) * range.tokens - 1) / seq_length, requested);
    EXPECT_EQ(static_cast<int64_t>(document_order(index).size()), shape.epochs * range.count());
    EXPECT_EQ(index.arrays().starts.size(), shape.samples + 1);
    EXPECT_EQ(shape.bytes(range.count()),
              shape.epochs * range.count() * 4 + (shape.samples + 1) * 16 + shape.samples * 4);

    std::vector<int64_t> stream;
    for (const int32_t document : document_order(index)) {
      for (int32_t i = 0; i < lengths[document]; ++i) stream.push_back(first_token[document] + i);
    }
    std::vector<bool> seen(index.sample_count(), false);
    for (int64_t q = 0; q < index.sample_count(); ++q) {
      const int64_t j = index.arrays().sample_order[q];
      EXPECT_FALSE(seen[j]);
      seen[j] = true;
      const std::vector<int64_t> expected(stream.begin() + j * seq_length,
                                          stream.begin() + j * seq_length + seq_length + 1);
      EXPECT_EQ(tokens_of_sample(index, first_token, q), expected);
    }
  }
}

TEST(SampleIndex, UsesEveryDocumentOnceAnEpoch) {
  const SampleIndex index = index_of(kLengths, 3, 100);
  const int64_t epochs = sample_index_shape(whole(kLengths), 3, 100).epochs;
  for (int32_t document = 0; document < 5; ++document) {
    EXPECT_EQ(std::ranges::count(document_order(index), document), epochs);
  }
}

}  // namespace
}  // namespace borealis
