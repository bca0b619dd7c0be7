#include "parallel/sequence_exchange.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/in_process.h"

namespace borealis {
namespace {

// A value for every element of [B, T, heads, head_dim] of a list of heads.
float value_of(int64_t sequence, int64_t token, int64_t list, int64_t head, int64_t element) {
  return static_cast<float>((((sequence * 64 + token) * 4 + list) * 64 + head) * 8 + element);
}

struct ExchangeCase {
  int64_t parts, batch_size, tokens, head_dim;  // tokens: of a part
  std::array<int64_t, 3> heads;
};

// Tokens `first` .. of all sequences, with the heads of every list that begin with those of `part`
// of `parts`.
std::vector<float> rows_of(const ExchangeCase& one, int64_t first, int64_t tokens, int64_t part,
                           int64_t parts) {
  std::vector<float> rows;
  for (int64_t b = 0; b < one.batch_size; ++b) {
    for (int64_t t = first; t < first + tokens; ++t) {
      for (int64_t list = 0; list < 3; ++list) {
        const int64_t own = one.heads[static_cast<size_t>(list)] / parts;
        for (int64_t h = part * own; h < (part + 1) * own; ++h) {
          for (int64_t c = 0; c < one.head_dim; ++c) rows.push_back(value_of(b, t, list, h, c));
        }
      }
    }
  }
  return rows;
}

std::byte* bytes_of(std::vector<float>& values) {
  return reinterpret_cast<std::byte*>(values.data());
}

void expect_there_and_back(const ExchangeCase& one) {
  run_in_process(one.parts, [&](Communicator& ranks) {
    SequenceExchange exchange(ranks.split(0));
    ASSERT_EQ(exchange.parts(), one.parts);
    const HeadRows rows{one.batch_size, one.tokens, one.heads,
                        one.head_dim * static_cast<int64_t>(sizeof(float))};
    const std::vector<float> own = rows_of(one, ranks.rank() * one.tokens, one.tokens, 0, 1);
    ASSERT_EQ(rows.batch_size * rows.tokens * rows.row_bytes(), std::ssize(own) * 4);
    std::vector<float> data = own, space(own.size());
    exchange.to_heads(rows, bytes_of(data), bytes_of(space));
    EXPECT_EQ(data, rows_of(one, 0, one.parts * one.tokens, ranks.rank(), one.parts));
    std::vector<float> back(own.size());
    exchange.to_tokens(rows, bytes_of(data), bytes_of(back), bytes_of(space));
    EXPECT_EQ(back, own);
    exchange.to_tokens(rows, bytes_of(data), bytes_of(data), bytes_of(space));
    EXPECT_EQ(data, own) << "in place";
  });
}

TEST(SequenceExchange, GoesToHeadsAndBack) {
  expect_there_and_back({2, 1, 3, 2, {4, 2, 2}});
  expect_there_and_back({4, 3, 5, 3, {8, 4, 4}});
  expect_there_and_back({3, 2, 1, 1, {3}});
  expect_there_and_back({2, 2, 40, 8, {6, 2, 2}});
  expect_there_and_back({1, 2, 3, 2, {4, 2, 2}});
}

}  // namespace
}  // namespace borealis
