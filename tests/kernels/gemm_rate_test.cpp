#include "kernels/gemm_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace borealis {
namespace {

using ::testing::HasSubstr;

const LinearShape kShapes[] = {{64, 96, 128}, {64, 1000, 48}};

// Rates are the machine's and not looked at; descriptions say what was multiplied.
TEST(GemmRate, MultipliesInTheArithmeticOfTheMode) {
  for (const ProductMode mode :
       {ProductMode::kF32, ProductMode::kBF16WidenedToF32, product_mode(DType::kBF16)}) {
    std::vector<std::byte> memory(gemm_operand_bytes(mode, kShapes));
    const GemmRate rate = measure_gemm_rate(mode, kShapes, 1e-3, memory);
    EXPECT_GT(rate.flops_per_s, 0);
    EXPECT_THAT(rate.description,
                HasSubstr(mode == ProductMode::kBF16Native ? "oneDNN bf16" : "oneDNN fp32"));
  }
}

TEST(GemmRate, StaysWithinItsMemory) {
  constexpr size_t kGuard = 4096;
  for (const ProductMode mode : {ProductMode::kF32, product_mode(DType::kBF16)}) {
    const size_t whole = gemm_operand_bytes(mode, kShapes);
    for (const size_t bytes : {whole, whole / 2, size_t{40'000}}) {
      std::vector<std::byte> memory(kGuard + bytes + kGuard, std::byte{0xa5});
      measure_gemm_rate(mode, kShapes, 1e-3, std::span(memory).subspan(kGuard, bytes));
      const auto is_untouched = [](std::byte b) { return b == std::byte{0xa5}; };
      EXPECT_TRUE(std::all_of(memory.begin(), memory.begin() + kGuard, is_untouched));
      EXPECT_TRUE(std::all_of(memory.end() - kGuard, memory.end(), is_untouched));
    }
  }
}

}  // namespace
}  // namespace borealis
