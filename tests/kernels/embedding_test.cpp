#include "kernels/embedding.h"

#include <gtest/gtest.h>

#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;

constexpr int64_t kVocab = 11;

std::vector<int32_t> some_tokens(int64_t rows) {
  std::vector<int32_t> tokens;
  for (int64_t r = 0; r < rows; ++r) tokens.push_back(static_cast<int32_t>(r * r % kVocab));
  return tokens;
}

template <typename T>
class Embedding : public ::testing::Test {};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(Embedding, Types);

TYPED_TEST(Embedding, ForwardCopiesRows) {
  using T = TypeParam;
  for (const int64_t rows : {1, 3, 17, 400}) {
    for (const int64_t D : {1, 7, 64, 100, 106}) {
      const auto tokens = some_tokens(rows);
      const auto weight = random_values<T>(kVocab * D, 1);
      std::vector<T> out(static_cast<size_t>(rows * D));
      embedding_forward(tokens.data(), weight.data(), rows, D, out.data());
      for (int64_t r = 0; r < rows; ++r) {
        const auto token = static_cast<int64_t>(tokens[static_cast<size_t>(r)]);
        ASSERT_EQ(0, std::memcmp(&out[static_cast<size_t>(r * D)],
                                 &weight[static_cast<size_t>(token * D)],
                                 static_cast<size_t>(D) * sizeof(T)));
      }
    }
  }
}

// The f32 sum in row order, bit for bit: repeated tokens included.
template <typename T>
void expect_backward_in_row_order(int64_t rows, int64_t D) {
  const auto tokens = some_tokens(rows);
  const auto dout = random_values<T>(rows * D, 2);
  auto expected = random_values<float>(kVocab * D, 3);
  auto dweight = expected;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < D; ++i) {
      expected[static_cast<size_t>(tokens[static_cast<size_t>(r)] * D + i)] +=
          static_cast<float>(dout[static_cast<size_t>(r * D + i)]);
    }
  }
  embedding_backward(tokens.data(), dout.data(), rows, D, dweight.data());
  EXPECT_TRUE(same_bits(dweight, expected)) << rows << " rows of " << D;
}

TYPED_TEST(Embedding, BackwardAddsInRowOrderForAnyThreads) {
  for_each_target([] {
    for_each_thread_count([] {
      for (const int64_t rows : {1, 3, 17, 400}) {
        for (const int64_t D : {1, 7, 64, 100, 106})
          expect_backward_in_row_order<TypeParam>(rows, D);
      }
    });
  });
}

TEST(EmbeddingBackward, MoreThreadsThanCacheLinesOfARow) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(9);
  expect_backward_in_row_order<float>(4000, 20);
  omp_set_num_threads(before);
}

}  // namespace
}  // namespace borealis
