#include "tensor/row_gradients.h"

#include <gtest/gtest.h>

#include <vector>

namespace borealis {
namespace {

using Ids = std::vector<int32_t>;

struct OwnedRowGradients {
  Arena memory;
  RowGradients gradient;
  explicit OwnedRowGradients(const RowGradientsShape& shape)
      : memory(shape.bytes(), "rows"), gradient(shape, memory) {}
};

std::vector<int32_t> slots_of(RowGradients& gradient, const Ids& ids) {
  const auto slots = gradient.slots(ids);
  return {slots.begin(), slots.end()};
}

TEST(RowGradients, GivesPlacesInTheOrderOfFirstUse) {
  OwnedRowGradients owned({.table_rows = 100, .row_size = 3, .most_rows = 4, .slots_at_a_time = 5});
  RowGradients& gradient = owned.gradient;
  EXPECT_EQ(slots_of(gradient, {7, 99, 7, 0}), (Ids{0, 1, 0, 2}));
  EXPECT_EQ(slots_of(gradient, {0, 5}), (Ids{2, 3}));  // the same step goes on
  EXPECT_EQ(gradient.used_rows(), 4);
  gradient.values()[3 * 1 + 2] = 8;
  EXPECT_EQ(gradient.row(99)[2], 8);
  EXPECT_EQ(gradient.row(98)[2], 0);  // a row without a gradient
}

TEST(RowGradients, ForgetsEverythingOnClear) {
  OwnedRowGradients owned({.table_rows = 10, .row_size = 2, .most_rows = 2, .slots_at_a_time = 2});
  RowGradients& gradient = owned.gradient;
  slots_of(gradient, {3, 4});
  gradient.values()[0] = 1;
  EXPECT_TRUE(gradient.has_row(3));
  gradient.clear();
  EXPECT_FALSE(gradient.has_row(3));
  EXPECT_EQ(gradient.used_rows(), 0);
  EXPECT_EQ(gradient.row(3)[0], 0);
  EXPECT_EQ(slots_of(gradient, {4}), (Ids{0}));
}

TEST(RowGradientsDeathTest, RefusesMoreRowsThanPlanned) {
  OwnedRowGradients owned({.table_rows = 10, .row_size = 2, .most_rows = 1, .slots_at_a_time = 2});
  RowGradients& gradient = owned.gradient;
  EXPECT_DEATH(gradient.slots(Ids{1, 2}), "more rows than the step was said to touch");
}

}  // namespace
}  // namespace borealis
