#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/product_bf16.h"

namespace borealis {
namespace {

// Where there are no such products the other tests are skipped, and all would pass.
TEST(EmulatedCpu, HasWhatTheTestsAreFor) {
  const char* cap = std::getenv("BOREALIS_TEST_CPU_ISA");
  EXPECT_TRUE(bf16_products_supported());
  EXPECT_EQ(amx_products_supported(), cap == nullptr || std::string_view(cap) == "native");
}

}  // namespace
}  // namespace borealis
