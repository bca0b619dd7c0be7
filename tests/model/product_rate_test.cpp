#include "model/product_rate.h"

#include <gtest/gtest.h>

namespace borealis {
namespace {

TEST(ProductRate, TheBetterOfTwoCounts) {
  const GemmRate slow{.flops_per_s = 2.06e11, .description = "2 threads"};
  const GemmRate fast{.flops_per_s = 3.9e11, .description = "2 threads"};
  const GemmRate kept = better_rate(fast, slow);
  EXPECT_EQ(kept.flops_per_s, fast.flops_per_s);
  EXPECT_EQ(kept.description, "2 threads");
  const GemmRate taken = better_rate(slow, fast);
  EXPECT_EQ(taken.flops_per_s, fast.flops_per_s);
  EXPECT_EQ(taken.description,
            "2 threads, behind the last step; after the first it was 0.206 TFLOP/s");
}

TEST(ProductRate, OneThatWasNotMeasuredSaysSo) {
  EXPECT_EQ(rate_text({.flops_per_s = 0, .description = "no memory"}), "not measured");
  EXPECT_EQ(rate_text({.flops_per_s = 1.8344e12, .description = {}}), "1.834 TFLOP/s");
}

}  // namespace
}  // namespace borealis
