// Of every alignment, and of sizes that no vector divides, against plain loops. Skipped where there
// is no GPU.
#include "kernels/cuda/rank_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/device_array.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using testing::DeviceArray;
using testing::random_values;

class CudaRankExchangeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no CUDA device";
  }
};

template <typename T>
class CudaRankSumTest : public CudaRankExchangeTest {};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaRankSumTest, Types);

constexpr int64_t kRanks = 3, kOwn = 1, kCount = 1030, kStride = 1088;

TYPED_TEST(CudaRankSumTest, AddsUpInTheOrderOfTheRanks) {
  using T = TypeParam;
  for (const int64_t shift : {0, 1, 4}) {
    SCOPED_TRACE(shift);
    const auto received = random_values<T>(kRanks * kStride + shift, 1);
    const auto own = random_values<T>(kCount + shift, 2);
    std::vector<float> sums(static_cast<size_t>(kCount + shift), 7.0f);
    const DeviceArray<T> received_(received), own_(own);
    const DeviceArray<float> sums_(sums);
    cuda::sum_of_ranks(SumOfRanks<T>{.ranks = kRanks,
                                     .own_rank = kOwn,
                                     .received = received_.data() + shift,
                                     .stride = kStride,
                                     .own = own_.data() + shift,
                                     .sum = sums_.data() + shift,
                                     .adds = false,
                                     .rounded = own_.data() + shift,  // in place
                                     .count = kCount},
                       nullptr);
    const DeviceArray<T> again_(own);
    const DeviceArray<float> added_(sums);
    cuda::sum_of_ranks(SumOfRanks<T>{.ranks = kRanks,
                                     .own_rank = kOwn,
                                     .received = received_.data() + shift,
                                     .stride = kStride,
                                     .own = again_.data() + shift,
                                     .sum = added_.data() + shift,
                                     .adds = true,
                                     .rounded = nullptr,
                                     .count = kCount},
                       nullptr);
    std::vector<float> added = sums;
    std::vector<T> travels = own;
    for (int64_t i = 0; i < kCount; ++i) {
      float sum = 0;
      for (int64_t rank = 0; rank < kRanks; ++rank) {
        const int64_t at = shift + i;
        sum += float(rank == kOwn ? own[static_cast<size_t>(at)]
                                  : received[static_cast<size_t>(rank * kStride + at)]);
      }
      travels[static_cast<size_t>(shift + i)] = T(sum);
      sums[static_cast<size_t>(shift + i)] = float(T(sum));
      added[static_cast<size_t>(shift + i)] += float(T(sum));
    }
    EXPECT_EQ(added_.values(), added);
    EXPECT_EQ(sums_.values(), sums);
    EXPECT_TRUE(testing::same_bits(own_.values(), travels));
  }
}

TEST_F(CudaRankExchangeTest, ConvertsWhatTravels) {
  for (const int64_t shift : {0, 1}) {
    const auto values = random_values<float>(kCount + shift, 3);
    const DeviceArray<float> values_(values), back_(values);
    const DeviceArray<bf16> rounded_(std::vector<bf16>(values.size()));
    cuda::convert(values_.data() + shift, rounded_.data() + shift, kCount, nullptr);
    cuda::convert(rounded_.data() + shift, back_.data() + shift, kCount, nullptr);
    std::vector<float> expected = values;
    for (size_t i = static_cast<size_t>(shift); i < expected.size(); ++i) {
      expected[i] = float(bf16(values[i]));
    }
    EXPECT_EQ(back_.values(), expected);
  }
}

// Rows of `places` from a table into a packed matrix, and from there to the same places.
void expect_rows_move(const std::vector<int32_t>& places, int64_t table_rows, int64_t width) {
  SCOPED_TRACE(::testing::Message() << places.size() << " rows of " << width);
  const auto table = random_values<float>(table_rows * width, 4);
  const DeviceArray<float> table_(table);
  const DeviceArray<float> there_(std::vector<float>(table.size()));
  const DeviceArray<float> packed_(std::vector<float>(places.size() * static_cast<size_t>(width)));
  const DeviceArray<int32_t> places_(places);
  const auto rows = std::ssize(places);
  cuda::pack_rows(table_.data(), places_.data(), rows, width, packed_.data(), nullptr);
  cuda::unpack_rows(packed_.data(), places_.data(), rows, width, there_.data(), nullptr);
  std::vector<float> packed, there(table.size());
  for (const int32_t place : places) {
    const auto row = table.begin() + place * width;
    packed.insert(packed.end(), row, row + width);
    std::copy_n(row, width, there.begin() + place * width);
  }
  EXPECT_TRUE(testing::same_bits(packed_.values(), packed));
  EXPECT_TRUE(testing::same_bits(there_.values(), there));
}

TEST_F(CudaRankExchangeTest, MovesRows) {
  for (const int64_t width : {64, 63}) expect_rows_move({4, 0, 3}, 5, width);
}

// Of a step's tokens there are more than a grid has blocks in its second dimension.
TEST_F(CudaRankExchangeTest, MovesMoreRowsThanAGridHas) {
  constexpr int64_t kTableRows = 70001, kMoved = 66000;  // a prime, and more than 65535
  std::vector<int32_t> places;
  for (int64_t i = 0; i < kMoved; ++i) {
    places.push_back(static_cast<int32_t>(i * 4099 % kTableRows));
  }
  for (const int64_t width : {4, 3}) expect_rows_move(places, kTableRows, width);
}

}  // namespace
}  // namespace borealis
