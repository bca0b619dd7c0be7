#include "tensor/parameter_table.h"

#include <gtest/gtest.h>

#include "tensor/arena.h"

namespace borealis {
namespace {

TEST(ParameterTable, PlacesParametersOnCacheLinesOrBehindOneAnother) {
  ParameterTable table;
  const auto parameter = [](const char* name, std::vector<int64_t> shape) {
    return Parameter{.name = name,
                     .kind = ParameterKind::kProjection,
                     .shape = std::move(shape),
                     .offset = 0,
                     .weight_decay = true,
                     .init_std = 0.02};
  };
  table.add(parameter("a", {3, 5}));
  table.add(parameter("b", {7}));
  table.add(parameter("c", {2, 2}), /*fused=*/true);
  EXPECT_EQ(table.at("a").offset, 0);
  EXPECT_EQ(table.at("b").offset, 32);
  EXPECT_EQ(table.at("c").offset, 39);
  EXPECT_EQ(table.parameter_count(), 15 + 7 + 4);
  EXPECT_EQ(table.buffer_elements(), 64);
  EXPECT_EQ(table.find("d"), nullptr);
}

TEST(Arena, MeasuresWhatItLaterHandsOut) {
  const auto lay_out = [](Arena& arena) {
    float* floats = arena.take<float>(3);
    std::byte* bytes = arena.take<std::byte>(65);
    return std::pair(floats, bytes);
  };
  Arena measuring = Arena::measuring();
  EXPECT_EQ(lay_out(measuring).first, nullptr);
  EXPECT_EQ(measuring.used_bytes(), 64 + 128);
  Arena arena(measuring.used_bytes(), "a test");
  const auto [floats, bytes] = lay_out(arena);
  EXPECT_EQ(reinterpret_cast<std::byte*>(floats) + 64, bytes);
  EXPECT_DEATH(arena.take<float>(1), "arena smaller than its plan");
}

}  // namespace
}  // namespace borealis
