#include "kernels/reference/attention_decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using testing::for_each_target;
using testing::for_each_thread_count;
using testing::half_ulp;
using testing::random_values;
using testing::to_double;

// Sequences of different lengths in a cache whose unused positions must not be read.
template <typename T>
struct CachedSequences {
  AttentionShape shape;
  std::vector<int64_t> lengths;
  int64_t capacity;
  std::vector<std::vector<T>> qkv;  // of each sequence [length, (H + 2K) C]
  std::vector<T> keys, values;

  CachedSequences(const AttentionShape& s, std::vector<int64_t> of, int64_t positions)
      : shape(s), lengths(std::move(of)), capacity(positions) {
    const auto S = static_cast<int64_t>(lengths.size());
    const T unread = T(std::numeric_limits<float>::quiet_NaN());
    keys.assign(static_cast<size_t>(S * s.num_key_value_heads * capacity * s.head_dim), unread);
    values = keys;
    for (int64_t i = 0; i < S; ++i) {
      qkv.push_back(random_values<T>(lengths[i] * s.row_stride(), 50 + static_cast<uint64_t>(i)));
      std::vector<int32_t> sequences(lengths[i], static_cast<int32_t>(i)), positions_of;
      for (int64_t t = 0; t < lengths[i]; ++t) positions_of.push_back(static_cast<int32_t>(t));
      cache_keys_values(s, qkv.back().data(), {lengths[i], sequences.data(), positions_of.data()},
                        cache());
    }
  }
  KeyValueCache<T> cache() { return {keys.data(), values.data(), capacity}; }

  // The last token of each of `which`, together.
  std::vector<T> decode(const std::vector<int32_t>& which) {
    const int64_t stride = shape.row_stride();
    std::vector<T> rows;
    std::vector<int32_t> positions;
    for (const int32_t i : which) {
      const T* last = qkv[i].data() + (lengths[i] - 1) * stride;
      rows.insert(rows.end(), last, last + stride);
      positions.push_back(static_cast<int32_t>(lengths[i] - 1));
    }
    const auto R = static_cast<int64_t>(which.size());
    std::vector<T> out(static_cast<size_t>(R * shape.num_heads * shape.head_dim));
    std::vector<float> scratch(static_cast<size_t>(attention_decode_scratch_floats(shape, R)));
    attention_decode(shape, rows.data(), {R, which.data(), positions.data()}, cache(), out.data(),
                     scratch.data());
    return out;
  }

  std::vector<double> expected(int64_t i) const {
    const int64_t C = shape.head_dim, H = shape.num_heads, K = shape.num_key_value_heads;
    const std::vector<double> all = to_double(qkv[i]);
    const auto head_of = [&](int64_t t, int64_t head) {
      const auto begin = all.begin() + t * shape.row_stride() + head * C;
      return std::vector<double>(begin, begin + C);
    };
    std::vector<double> out;
    for (int64_t h = 0; h < H; ++h) {
      std::vector<double> k, v;
      for (int64_t t = 0; t < lengths[i]; ++t) {
        for (const double x : head_of(t, H + h / shape.group_size())) k.push_back(x);
        for (const double x : head_of(t, H + K + h / shape.group_size())) v.push_back(x);
      }
      for (const double x : reference::attention_decode(head_of(lengths[i] - 1, h), k, v)) {
        out.push_back(x);
      }
    }
    return out;
  }
};

const AttentionShape kShapes[] = {
    {1, 1, 4, 2, 24}, {1, 1, 3, 3, 10}, {1, 1, 8, 2, 64}, {1, 1, 6, 1, 80}};

template <typename T>
void expect_the_twins_result() {
  for (const AttentionShape& s : kShapes) {
    CachedSequences<T> sequences(s, {33, 1, 64, 129, 65}, 140);
    const std::vector<double> out = to_double(sequences.decode({3, 0, 2, 1, 4}));
    const auto size = static_cast<size_t>(s.num_heads * s.head_dim);
    size_t row = 0;
    for (const int64_t i : {3, 0, 2, 1, 4}) {
      const std::vector<double> expected = sequences.expected(i);
      for (size_t c = 0; c < size; ++c) {
        // sums of up to 129 terms in f32, then one rounding to T
        EXPECT_NEAR(out[row * size + c], expected[c], 3e-6 + half_ulp<T>() * std::abs(expected[c]));
      }
      ++row;
    }
  }
}

TEST(AttentionDecode, AgreesWithTheNaiveTwin) {
  for_each_target([] {
    expect_the_twins_result<float>();
    expect_the_twins_result<bf16>();
  });
}

template <typename T>
void expect_rows_apart() {
  CachedSequences<T> sequences({1, 1, 8, 2, 64}, {700, 3, 90}, 701);
  const std::vector<double> all = to_double(sequences.decode({0, 1, 2}));
  for_each_thread_count([&] {
    for (const int32_t i : {0, 1, 2}) {
      const std::vector<double> alone = to_double(sequences.decode({i}));
      EXPECT_EQ(alone, std::vector<double>(all.begin() + i * 512, all.begin() + (i + 1) * 512));
    }
  });
}

TEST(AttentionDecode, ARowsBitsDependNeitherOnTheOthersNorOnThreads) {
  expect_rows_apart<float>();
  expect_rows_apart<bf16>();
}

TEST(AttentionDecode, AgreesWithTheLastRowOfForward) {
  const AttentionShape s{1, 133, 4, 2, 24};
  CachedSequences<float> sequences(s, {s.seq_length}, s.seq_length);
  std::vector<float> out(static_cast<size_t>(s.seq_length * s.num_heads * s.head_dim));
  std::vector<float> lse(static_cast<size_t>(s.num_heads * s.seq_length));
  std::vector<float> scratch(static_cast<size_t>(attention_forward_scratch_floats<float>(s, 2)));
  attention_forward(s, sequences.qkv[0].data(), out.data(), lse.data(), scratch.data(), 2);
  const std::vector<float> last = sequences.decode({0});
  for (size_t i = 0; i < last.size(); ++i) {
    EXPECT_NEAR(last[i], out[out.size() - last.size() + i], 2e-6);
  }
}

// A text in pieces over a cache: the bits of one pass, at any length, for all that it writes.
template <typename T>
void expect_the_bits_of_one_pass(const AttentionShape& s) {
  CachedSequences<T> sequences(s, {7, s.seq_length}, s.seq_length + 3);
  const int64_t width = s.num_heads * s.head_dim;
  std::vector<T> whole(static_cast<size_t>(s.seq_length * width));
  std::vector<float> lse(static_cast<size_t>(s.num_heads * s.seq_length));
  std::vector<float> scratch(static_cast<size_t>(attention_forward_scratch_floats<T>(s, 3)));
  attention_forward(s, sequences.qkv[1].data(), whole.data(), lse.data(), scratch.data(), 3);
  scratch.assign(static_cast<size_t>(attention_prefix_scratch_floats<T>(s, 3)), 0.0f);
  std::vector<float> piece_lse(lse.size());
  for (int64_t first = 0; first < s.seq_length; first += 2 * kAttentionPieceRows) {
    AttentionShape prefix = s;
    prefix.seq_length = std::min(s.seq_length, first + 2 * kAttentionPieceRows);
    const int64_t rows = prefix.seq_length - first;
    std::vector<T> piece(static_cast<size_t>(rows * width));
    attention_forward_prefix(prefix, first, sequences.qkv[1].data() + first * s.row_stride(), 1,
                             sequences.cache(), piece.data(), piece_lse.data(), scratch.data(), 3);
    const auto expected = whole.begin() + first * width;
    EXPECT_EQ(to_double(piece),
              to_double(std::vector<T>(expected, expected + static_cast<int64_t>(piece.size()))))
        << first;
    EXPECT_EQ(piece_lse[static_cast<size_t>(rows - 1)],
              lse[static_cast<size_t>(prefix.seq_length - 1)]);
  }
}

TEST(AttentionPrefix, APieceHasTheBitsOfOnePass) {
  for_each_target([] {
    for (const AttentionShape& s :
         {AttentionShape{1, 901, 4, 2, 24}, AttentionShape{1, 385, 3, 3, 10},
          AttentionShape{1, 768, 6, 1, 80}, AttentionShape{1, 100, 2, 2, 8}}) {
      expect_the_bits_of_one_pass<float>(s);
      expect_the_bits_of_one_pass<bf16>(s);
    }
  });
}

TEST(AttentionPrefix, ScratchIsEnoughForEveryShorterText) {
  for (const int64_t head_dim : {24, 128}) {
    AttentionShape s{1, 20000, 32, 16, head_dim};
    const int64_t floats = attention_prefix_scratch_floats<float>(s, 2);
    for (s.seq_length = 1; s.seq_length <= 20000; s.seq_length += 111) {
      EXPECT_LE(attention_forward_scratch_floats<float>(s, 2), floats) << s.seq_length;
    }
  }
}

// Rows that fill up a batch leave no trace.
TEST(AttentionDecode, RowsWithoutASequenceAreNotKept) {
  const AttentionShape s{1, 1, 2, 1, 8};
  std::vector<float> keys(2 * 4 * 8, -7.0f), values(keys);
  const std::vector<float> qkv = random_values<float>(3 * s.row_stride(), 9);
  const std::vector<int32_t> sequences = {1, kNoSequence, kNoSequence}, positions = {2, 0, 0};
  cache_keys_values(s, qkv.data(), {3, sequences.data(), positions.data()},
                    {keys.data(), values.data(), 4});
  for (size_t i = 0; i < keys.size(); ++i) {
    const bool written = i / 8 == 1 * 4 + 2;
    EXPECT_EQ(keys[i], written ? qkv[2 * 8 + i % 8] : -7.0f);
    EXPECT_EQ(values[i], written ? qkv[3 * 8 + i % 8] : -7.0f);
  }
}

}  // namespace
}  // namespace borealis
