#include "parallel/gradient_sum.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/in_process.h"
#include "model/parameter_layout.h"
#include "support/small_models.h"

namespace borealis {
namespace {

// Of rank r's row of token id, element j: sums of these are exact.
float value_of(int64_t rank, int32_t id, int64_t j) {
  return static_cast<float>(rank + 1) * 1000 + static_cast<float>(id * 10 + j);
}

TEST(GradientSum, DenseGradientsAreThoseOfAllRanks) {
  run_in_process(3, [](Communicator& ranks) {
    const ParameterTable table = make_parameter_table(testing::small_llama(1));
    std::vector<float> gradients(static_cast<size_t>(table.buffer_elements()));
    for (size_t i = 0; i < gradients.size(); ++i) {
      gradients[i] = static_cast<float>(ranks.rank() * 100) + static_cast<float>(i % 64);
    }
    sum_dense_gradients(ranks, {.table = &table, .gradients = gradients.data()});
    for (size_t i = 0; i < gradients.size(); ++i) {
      ASSERT_EQ(gradients[i], 300 + 3 * static_cast<float>(i % 64));
    }
  });
}

// Ranks share some rows, have others alone, and one has none; there are more than are summed at
// once.
TEST(GradientSum, RowsAreThoseThatAnyRankHas) {
  run_in_process(4, [](Communicator& ranks) {
    constexpr int64_t kColumns = 48;
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
    sum_row_gradients(ranks, rows);
    EXPECT_EQ(rows.used_rows(), 700);
    for (int32_t id = 0; id < 1000; ++id) {
      EXPECT_EQ(rows.has_row(id), id < 700) << id;
      for (int64_t j = 0; j < kColumns; ++j) {
        float sum = 0;
        for (int64_t rank = 0; rank < 3; ++rank) sum += has(rank, id) ? value_of(rank, id, j) : 0;
        ASSERT_EQ(rows.row(id)[j], sum) << id;
      }
    }
  });
}

}  // namespace
}  // namespace borealis
