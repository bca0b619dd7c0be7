#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;

template <typename T>
class Add : public ::testing::Test {};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(Add, Types);

TYPED_TEST(Add, IsTheRoundedSumForAnyThreads) {
  using T = TypeParam;
  for_each_target([] {
    for (const int64_t n : {0, 1, 7, 64, 100, 106, 50021}) {
      const auto a = random_values<T>(n, 1), b = random_values<T>(n, 2);
      std::vector<T> expected(a.size());
      for (size_t i = 0; i < a.size(); ++i) {
        expected[i] = T(static_cast<float>(a[i]) + static_cast<float>(b[i]));
      }
      for_each_thread_count([&] {
        std::vector<T> out(a.size());
        add(a.data(), b.data(), out.data(), n);
        EXPECT_TRUE(same_bits(out, expected)) << n;
        auto in_place = b;
        add(a.data(), in_place.data(), in_place.data(), n);
        EXPECT_TRUE(same_bits(in_place, expected)) << n;
      });
    }
  });
}

template <typename T>
class ScaleRows : public ::testing::Test {};
TYPED_TEST_SUITE(ScaleRows, Types);

TYPED_TEST(ScaleRows, IsTheRoundedProductForAnyThreads) {
  using T = TypeParam;
  for_each_target([] {
    for (const int64_t cols : {1, 7, 64, 100, 9001}) {
      constexpr int64_t kRows = 5;
      const auto source = random_values<T>(kRows * cols, 1);
      const std::vector<float> factor = {0.0f, 1.0f, -3.7f, 1e-9f, 2e30f};
      std::vector<bf16> expected(source.size());
      for (size_t i = 0; i < source.size(); ++i) {
        expected[i] = bf16(static_cast<float>(source[i]) * factor[i / static_cast<size_t>(cols)]);
      }
      for_each_thread_count([&] {
        std::vector<bf16> out(source.size());
        scale_rows(source.data(), factor.data(), out.data(), kRows, cols);
        EXPECT_TRUE(same_bits(out, expected)) << cols;
      });
    }
  });
}

TEST(Convert, WidensEveryBf16) {
  std::vector<bf16> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i].bits = static_cast<uint16_t>(i);
  for_each_target([&] {
    std::vector<float> wide(all.size());
    convert(all.data(), wide.data(), 65536);
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), static_cast<uint32_t>(i) << 16);
    }
  });
}

// Every upper half with the lower halves where rounding turns: ties, just below and just above.
TEST(Convert, NarrowsToNearestEvenAndKeepsNaN) {
  std::vector<float> values;
  for (uint32_t upper = 0; upper < 65536; ++upper) {
    for (const uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      values.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  for_each_target([&] {
    std::vector<bf16> narrow(values.size());
    convert(values.data(), narrow.data(), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(narrow[i].bits, bf16(values[i]).bits) << std::bit_cast<uint32_t>(values[i]);
      ASSERT_EQ(std::isnan(static_cast<float>(narrow[i])), std::isnan(values[i]));
    }
  });
}

TEST(ConvertRows, LeavesTheGapsAlone) {
  for_each_target([] {
    for (const int64_t rows : {1, 3, 17}) {
      for (const int64_t cols : {1, 7, 64, 106, 9000}) {
        const int64_t src_ld = cols + 5, dst_ld = cols + 2;
        const auto src = random_values<float>(rows * src_ld, 1);
        std::vector<bf16> dst(static_cast<size_t>(rows * dst_ld), bf16(-7.0f));
        convert_rows(src.data(), src_ld, dst.data(), dst_ld, rows, cols);
        std::vector<float> back(static_cast<size_t>(rows * src_ld), -9.0f);
        convert_rows(dst.data(), dst_ld, back.data(), src_ld, rows, cols);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < src_ld; ++c) {
            const auto at = static_cast<size_t>(r * src_ld + c);
            ASSERT_EQ(back[at], c < cols ? static_cast<float>(bf16(src[at])) : -9.0f);
          }
          for (int64_t c = cols; c < dst_ld; ++c) {
            ASSERT_EQ(static_cast<float>(dst[static_cast<size_t>(r * dst_ld + c)]), -7.0f);
          }
        }
      }
    }
  });
}

TEST(FillZero, ClearsExactlyTheBytes) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1000}, size_t{3} << 20}) {
    std::vector<unsigned char> data(bytes + 2, 0xab);
    fill_zero(data.data() + 1, bytes);
    EXPECT_EQ(data.front(), 0xab);
    EXPECT_EQ(data.back(), 0xab);
    EXPECT_TRUE(std::all_of(data.begin() + 1, data.end() - 1, [](auto b) { return b == 0; }));
  }
}

TEST(CopyBytes, CopiesExactlyTheBytes) {
  for (const auto copy : {&copy_bytes, &copy_uncached}) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1000}, size_t{20000}, size_t{3} << 20,
                               (size_t{3} << 20) + 77}) {
      for (const size_t begin : {size_t{1}, size_t{64}}) {
        std::vector<unsigned char> from(bytes), to(begin + bytes + 1, 0xab);
        for (size_t i = 0; i < bytes; ++i) from[i] = static_cast<unsigned char>(i * 7 % 251);
        copy(from.data(), to.data() + begin, bytes);
        EXPECT_EQ(to[begin - 1], 0xab);
        EXPECT_EQ(to.back(), 0xab);
        EXPECT_TRUE(std::equal(from.begin(), from.end(), to.begin() + static_cast<long>(begin)));
      }
    }
  }
}

}  // namespace
}  // namespace borealis
