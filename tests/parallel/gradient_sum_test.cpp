#include "parallel/gradient_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "comm/in_process.h"
#include "support/plain_sums.h"

namespace borealis {
namespace {

// Of rank r's row of token id, element j: sums of these are exact.
float value_of(int64_t rank, int32_t id, int64_t j) {
  return static_cast<float>(rank + 1) * 1000 + static_cast<float>(id * 10 + j);
}

struct Buffers {
  Buffers(int64_t ranks, DType dtype, const std::optional<RowGradientsShape>& rows = {})
      : memory(measured(ranks, rows, dtype), "sums"), buffers(ranks, rows, dtype, 0, memory) {}
  static int64_t measured(int64_t ranks, const std::optional<RowGradientsShape>& rows,
                          DType dtype = DType::kF32) {
    Arena arena = Arena::measuring();
    const SumBuffers layout(ranks, rows, dtype, 0, arena);
    return arena.used_bytes();
  }
  Arena memory;
  SumBuffers buffers;
};

// Numbers whose sums depend on their order, and as many as take several pieces, the last of them
// shorter.
std::vector<float> rounded_values(int64_t rank, size_t size) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) {
    values[i] = (rank % 2 == 0 ? 1.0f : -1.0f) /
                static_cast<float>(1 + (i * 31 + static_cast<size_t>(rank) * 7) % 1013);
  }
  return values;
}

template <typename T>
std::vector<T> as(const std::vector<float>& values) {
  std::vector<T> result;
  for (const float value : values) result.push_back(static_cast<T>(value));
  return result;
}
std::vector<float> widened(const std::vector<bf16>& values) {
  std::vector<float> result;
  for (const bf16 value : values) result.push_back(static_cast<float>(value));
  return result;
}

// What travels as T is what the plain sum of T has: parts rounded, added in f32, rounded once.
TEST(GradientSum, InBf16HasTheBitsOfThePlainSumsOfBf16) {
  for (const int64_t ranks_in_all : {2, 3, 5}) {
    run_in_process(ranks_in_all, [&](Communicator& ranks) {
      const Buffers own(ranks.size(), DType::kBF16), in_f32(ranks.size(), DType::kF32);
      for (const size_t size : {size_t{0}, size_t{1}, size_t{40}, size_t{700001}}) {
        const std::vector<float> values = rounded_values(ranks.rank(), size);
        std::vector<bf16> plain = as<bf16>(values);
        std::vector<float> pieces = values;
        testing::all_reduce_sum(ranks, std::span<bf16>(plain), "adding");
        const int64_t received = sum_on_all(ranks, pieces, own.buffers);
        EXPECT_EQ(pieces, widened(plain)) << size;
        std::vector<float> whole = values;
        EXPECT_EQ(sum_on_all(ranks, whole, in_f32.buffers), 2 * received) << size;

        // Parts of which one is the longest, added to what is there in f32.
        const std::vector<bf16> rounded = as<bf16>(values);
        const size_t part = size / static_cast<size_t>(ranks.size()) + 3;
        std::vector<std::span<const float>> parts;
        std::vector<std::span<const bf16>> rounded_parts;
        for (size_t r = 0; r < static_cast<size_t>(ranks.size()); ++r) {
          const size_t begin = std::min(size, r * part), count = std::min(part, size - begin);
          parts.push_back(std::span(values).subspan(begin, count));
          rounded_parts.push_back(std::span(rounded).subspan(begin, count));
        }
        const size_t mine = parts[static_cast<size_t>(ranks.rank())].size();
        std::vector<bf16> sums(mine);
        testing::reduce_scatter_sum(ranks, std::span<const std::span<const bf16>>(rounded_parts),
                                    std::span<bf16>(sums), /*adds=*/false, "adding");
        std::vector<float> replaced(mine, 0.1f), added(mine, 0.1f), expected;
        sum_at_owners(ranks, parts, replaced, SumInto::kReplace, own.buffers);
        sum_at_owners(ranks, parts, added, SumInto::kAdd, own.buffers);
        for (const bf16 sum : sums) expected.push_back(static_cast<float>(sum) + 0.1f);
        EXPECT_EQ(replaced, widened(sums)) << size;
        EXPECT_EQ(added, expected) << size;
      }
    });
  }
}

TEST(GradientSum, HasTheBitsOfThePlainSumsInPieces) {
  for (const int64_t ranks_in_all : {2, 3, 5}) {
    run_in_process(ranks_in_all, [&](Communicator& ranks) {
      const Buffers own(ranks.size(), DType::kF32);
      for (const size_t size : {size_t{0}, size_t{1}, size_t{40}, size_t{700001}}) {
        std::vector<float> plain = rounded_values(ranks.rank(), size), pieces = plain;
        testing::all_reduce_sum(ranks, std::span<float>(plain), "adding");
        sum_on_all(ranks, pieces, own.buffers);
        EXPECT_TRUE(std::ranges::equal(plain, pieces)) << size;

        const std::vector<float> values = rounded_values(ranks.rank(), size);
        const size_t part = size / static_cast<size_t>(ranks.size()) + 3;  // the last is shorter
        std::vector<std::span<const float>> parts;
        for (size_t r = 0; r < static_cast<size_t>(ranks.size()); ++r) {
          const size_t begin = std::min(size, r * part);
          parts.push_back(std::span(values).subspan(begin, std::min(part, size - begin)));
        }
        const size_t mine = parts[static_cast<size_t>(ranks.rank())].size();
        std::vector<float> at_once(mine, 0.1f), by_piece(mine, 0.1f);
        for (const SumInto into : {SumInto::kAdd, SumInto::kReplace, SumInto::kAdd}) {
          testing::reduce_scatter_sum(ranks, std::span<const std::span<const float>>(parts),
                                      std::span<float>(at_once), into == SumInto::kAdd, "adding");
          sum_at_owners(ranks, parts, by_piece, into, own.buffers);
          EXPECT_TRUE(std::ranges::equal(at_once, by_piece)) << size;
        }
      }
    });
  }
}

// However many ranks there are, their pieces do not fill the memory.
TEST(GradientSum, PiecesOfManyRanksAreSmall) {
  const auto bytes = [](int64_t ranks) { return Buffers::measured(ranks, {}); };
  EXPECT_EQ(bytes(1), 0);
  EXPECT_EQ(bytes(2), 5 * (256 << 10));
  EXPECT_LE(bytes(768), 16 << 20);
  EXPECT_GT(bytes(768), 15 << 20);
}

float travelled(DType dtype, float value) {
  return dtype == DType::kBF16 ? static_cast<float>(bf16(value)) : value;
}

class GradientRowsSum : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(, GradientRowsSum, ::testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& test) { return std::string(dtype_name(test.param)); });

// Ranks share some rows, have others alone, and one has none; there are more than are summed at
// once.
TEST_P(GradientRowsSum, RowsAreThoseThatAnyRankHas) {
  run_in_process(4, [dtype = GetParam()](Communicator& ranks) {
    constexpr int64_t kColumns = 900;
    const RowGradientsShape shape{1000, kColumns, 900, 300};
    Arena memory(shape.bytes(), "rows");
    RowGradients rows(shape, memory);
    const auto has = [](int64_t rank, int32_t id) {
      return rank < 3 && id >= rank * 200 && id < rank * 200 + 300;
    };
    std::vector<int32_t> ids;
    for (int32_t id = 999; id >= 0; --id) {
      if (has(ranks.rank(), id)) ids.push_back(id);
    }
    const auto places = rows.slots(ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      for (int64_t j = 0; j < kColumns; ++j) {
        rows.values()[places[i] * kColumns + j] = value_of(ranks.rank(), ids[i], j);
      }
    }
    const Buffers own(ranks.size(), dtype, shape);
    sum_row_gradients(ranks, rows, own.buffers);
    EXPECT_EQ(rows.used_rows(), 700);
    for (int32_t id = 0; id < 1000; ++id) {
      EXPECT_EQ(rows.has_row(id), id < 700) << id;
      for (int64_t j = 0; j < kColumns; ++j) {
        float sum = 0;
        for (int64_t rank = 0; rank < 3; ++rank) {
          sum += has(rank, id) ? travelled(dtype, value_of(rank, id, j)) : 0;
        }
        ASSERT_EQ(rows.row(id)[j], travelled(dtype, sum)) << id;
      }
    }
  });
}

// Rows that are longer than a piece would be travel one by one.
TEST_P(GradientRowsSum, RowsMayBeLongerThanAPiece) {
  run_in_process(3, [dtype = GetParam()](Communicator& ranks) {
    constexpr int64_t kColumns = 100000;
    const RowGradientsShape shape{8, kColumns, 8, 8};
    Arena memory(shape.bytes(), "rows");
    RowGradients rows(shape, memory);
    const std::vector<int32_t> ids = {static_cast<int32_t>(ranks.rank()), 7};
    const auto places = rows.slots(ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      std::fill_n(rows.values() + places[i] * kColumns, kColumns,
                  static_cast<float>(ranks.rank() + 1));
    }
    const Buffers own(ranks.size(), dtype, shape);
    sum_row_gradients(ranks, rows, own.buffers);
    EXPECT_EQ(rows.used_rows(), 4);
    for (const int64_t j : {int64_t{0}, kColumns - 1}) {
      for (int32_t id = 0; id < 3; ++id) EXPECT_EQ(rows.row(id)[j], static_cast<float>(id + 1));
      EXPECT_EQ(rows.row(7)[j], 6);
    }
  });
}

}  // namespace
}  // namespace borealis
