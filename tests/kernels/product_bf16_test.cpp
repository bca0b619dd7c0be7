#include "kernels/cpu/product_bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"

namespace borealis {
namespace {

struct Shape {
  int64_t m, n, k;
};

// Tails of every kind: of tiles of 6 or 16 rows, row blocks of 96 or 384, panels of 64 columns,
// column blocks of 512 and more, words and blocks of the depth of 1152, and rows of bf16 sums that
// wait, 1152.
const Shape kShapes[] = {{1, 16, 2},     {32, 16, 34},   {37, 80, 66},     {98, 176, 70},
                         {101, 528, 62}, {40, 48, 1154}, {195, 112, 2310}, {1163, 32, 1216},
                         {64, 64, 1152}, {6, 1040, 96},  {450, 64, 1184},  {33, 1600, 1160},
                         {400, 64, 40}};

std::vector<bf16> random_matrix(int64_t size, uint64_t stream) {
  const RandomStream random(3, stream);
  std::vector<bf16> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = bf16(static_cast<float>(random.normal(i)));
  return values;
}

// Operands in rows longer than they need; what lies beyond must be neither read nor written, so it
// is NaN.
class Operands {
 public:
  Operands(const Shape& s, bool b_transposed, bool a_transposed = false)
      : shape_(s), a_transposed_(a_transposed), transposed_(b_transposed) {
    a_ = a_transposed ? spread(s.k, s.m, lda(), 1) : spread(s.m, s.k, lda(), 1);
    b_ = b_transposed ? spread(s.n, s.k, ldb(), 2) : spread(s.k, s.n, ldb(), 2);
  }
  int64_t lda() const { return (a_transposed_ ? shape_.m : shape_.k) + 6; }
  int64_t ldb() const { return (transposed_ ? shape_.k : shape_.n) + 10; }
  int64_t ldc() const { return shape_.n + 16; }
  size_t result_size() const { return static_cast<size_t>(shape_.m * ldc()); }
  const bf16* a() const { return a_.data(); }
  const bf16* b() const { return b_.data(); }

  double sum(int64_t i, int64_t j) const {
    double total = 0;
    for (int64_t k = 0; k < shape_.k; ++k) {
      const int64_t at = transposed_ ? j * ldb() + k : k * ldb() + j;
      const int64_t a_at = a_transposed_ ? k * lda() + i : i * lda() + k;
      total += static_cast<double>(static_cast<float>(a_[static_cast<size_t>(a_at)])) *
               static_cast<double>(static_cast<float>(b_[static_cast<size_t>(at)]));
    }
    return total;
  }

  // Largest error in units of sqrt(k), the size of such a sum; before: what was added to.
  template <typename T>
  double error(const std::vector<T>& c, float before) const {
    double largest = 0;
    for (int64_t i = 0; i < shape_.m; ++i) {
      for (int64_t j = 0; j < ldc(); ++j) {
        const float got = static_cast<float>(c[static_cast<size_t>(i * ldc() + j)]);
        if (j >= shape_.n) {
          if (!std::isnan(got)) return INFINITY;  // written beyond its columns
          continue;
        }
        const double distance = std::abs(static_cast<double>(got) - before - sum(i, j));
        if (std::isnan(got)) return INFINITY;
        largest = std::max(largest, distance / std::sqrt(static_cast<double>(shape_.k)));
      }
    }
    return largest;
  }

 private:
  static std::vector<bf16> spread(int64_t rows, int64_t cols, int64_t ld, uint64_t stream) {
    const auto values = random_matrix(rows * cols, stream);
    std::vector<bf16> wide(static_cast<size_t>(rows * ld), bf16(std::nanf("")));
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(values.begin() + r * cols, cols, wide.begin() + r * ld);
    }
    return wide;
  }

  Shape shape_;
  bool a_transposed_, transposed_;
  std::vector<bf16> a_, b_;
};

// Up to 1152 / 2 f32 sums one after the other, each off by 2^-24 of what is up to 4 sqrt(k), add up
// like sqrt(576); one word that is missing makes 1 / sqrt(k). Rounded to bf16 once: half a unit of
// 8 sqrt(k).
constexpr double kF32Bound = 6e-6, kBf16Bound = 0x1p-5;

class Bf16ProductTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!bf16_products_supported()) GTEST_SKIP() << "this CPU has no bf16 products";
  }
  static std::vector<float> workspace(int threads) {
    const auto size = static_cast<size_t>(bf16_product_workspace_floats(threads));
    return std::vector<float>(size, std::nanf(""));
  }
  static Bf16Product product(const Shape& s, const Operands& in, bool transposed) {
    return {s.m, s.n, s.k, in.a(), in.lda(), in.b(), in.ldb(), transposed, in.ldc(), false};
  }
  // Twice the product, added up in place.
  static std::vector<float> doubled(Bf16Product product, const Operands& in, int threads) {
    auto space = workspace(threads);
    std::vector<float> c(in.result_size(), std::nanf(""));
    for (const bool accumulate : {false, true}) {
      product.accumulate = accumulate;
      multiply_bf16(product, c.data(), threads, space.data());
    }
    return c;
  }
  static std::vector<float> expect_same_bits_for_any_threads(const Bf16Product& product,
                                                             const Operands& in) {
    const std::vector<float> first = doubled(product, in, 1);
    for (const int threads : {2, 3}) {
      const std::vector<float> c = doubled(product, in, threads);
      EXPECT_EQ(0, std::memcmp(c.data(), first.data(), c.size() * sizeof(float))) << threads;
    }
    return first;
  }
  static std::vector<float> halved(std::vector<float> values) {
    for (float& value : values) value /= 2;
    return values;
  }
};

TEST_F(Bf16ProductTest, AgreesWithPlainSums) {
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(::testing::Message() << s.m << " " << s.n << " " << s.k << " " << transposed);
      const Operands in(s, transposed);
      Bf16Product product = this->product(s, in, transposed);
      auto space = workspace(2);
      std::vector<float> c(in.result_size(), std::nanf(""));
      multiply_bf16(product, c.data(), 2, space.data());
      EXPECT_LT(in.error(c, 0), kF32Bound);

      for (float& value : c) value = std::isnan(value) ? value : 3.0f;
      product.accumulate = true;
      multiply_bf16(product, c.data(), 2, space.data());
      EXPECT_LT(in.error(c, 3), kF32Bound);

      std::vector<bf16> rounded(in.result_size(), bf16(std::nanf("")));
      product.accumulate = false;
      multiply_bf16(product, rounded.data(), 2, space.data());
      EXPECT_LT(in.error(rounded, 0), kBf16Bound);
    }
  }
}

TEST_F(Bf16ProductTest, OddSizesAgreeWithPlainSums) {
  for (const Shape& s : {Shape{33, 1, 1}, Shape{45, 37, 63}, Shape{97, 71, 1155}}) {
    if (!bf16_product_fits(s.m, s.n, s.k)) GTEST_SKIP() << "only with AMX";
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(::testing::Message() << s.m << " " << s.n << " " << s.k << " " << transposed);
      const Operands in(s, transposed);
      const Bf16Product product = this->product(s, in, transposed);
      EXPECT_LT(in.error(halved(doubled(product, in, 2)), 0), kF32Bound);
      auto space = workspace(2);
      std::vector<bf16> rounded(in.result_size(), bf16(std::nanf("")));
      multiply_bf16(product, rounded.data(), 2, space.data());
      EXPECT_LT(in.error(rounded, 0), kBf16Bound);
    }
  }
}

TEST_F(Bf16ProductTest, ATransposedAgreesWithPlainSums) {
  if (!bf16_product_transposes()) GTEST_SKIP() << "only with AMX";
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(::testing::Message() << s.m << " " << s.n << " " << s.k);
    const Operands in(s, false, true);
    Bf16Product product = this->product(s, in, false);
    product.a_transposed = true;
    const std::vector<float> c = expect_same_bits_for_any_threads(product, in);
    EXPECT_LT(in.error(halved(c), 0), kF32Bound);
  }
}

TEST_F(Bf16ProductTest, ThreadsDoNotChangeABit) {
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(::testing::Message() << s.m << " " << s.n << " " << s.k);
    const Operands in(s, false);
    expect_same_bits_for_any_threads(product(s, in, false), in);
  }
}

TEST_F(Bf16ProductTest, AnOperandPackedOnceGivesTheSameBits) {
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(::testing::Message() << s.m << " " << s.n << " " << s.k << " " << transposed);
      const Operands in(s, transposed);
      std::vector<uint32_t> words(static_cast<size_t>(bf16_packed_words(s.k, s.n)), 0xffffffff);
      Bf16PackedProduct product;
      product.m = s.m;
      product.a = in.a();
      product.lda = in.lda();
      product.b = pack_bf16({in.b(), in.ldb(), transposed, s.k, s.n}, s.k, s.n, words.data());
      std::vector<float> c(in.result_size(), std::nanf("")), expected = c;
      product.c = c.data();
      product.ldc = in.ldc();
      auto space = workspace(2), packed_space = workspace(2);
      auto unpacked = this->product(s, in, transposed);
      for (const bool accumulate : {false, true}) {
        product.accumulate = unpacked.accumulate = accumulate;
        multiply_bf16(product, 2, packed_space.data());
        multiply_bf16(unpacked, expected.data(), 2, space.data());
        EXPECT_EQ(0, std::memcmp(c.data(), expected.data(), c.size() * sizeof(float)));
      }
      EXPECT_LT(in.error(c, 0), INFINITY);  // nothing beyond its columns
    }
  }
}

// An operand of fewer rows and columns than the product is zero beyond them.
TEST_F(Bf16ProductTest, PaddingOfAPackedOperandIsZero) {
  const Shape s{7, 48, 64};
  for (const bool transposed : {false, true}) {
    const auto a = random_matrix(s.m * s.k, 1), b = random_matrix(35 * 61, 2);
    std::vector<uint32_t> words(static_cast<size_t>(bf16_packed_words(s.k, s.n)), 0xffffffff);
    std::vector<float> c(static_cast<size_t>(s.m * s.n), std::nanf(""));
    Bf16PackedProduct product;
    product.m = s.m;
    product.a = a.data();
    product.lda = s.k;
    product.b =
        pack_bf16({b.data(), transposed ? 61 : 35, transposed, 61, 35}, s.k, s.n, words.data());
    product.c = c.data();
    product.ldc = s.n;
    auto space = workspace(2);
    multiply_bf16(product, 2, space.data());
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < 61 && j < 35; ++k) {
          sum += static_cast<double>(static_cast<float>(a[static_cast<size_t>(i * s.k + k)])) *
                 static_cast<double>(static_cast<float>(
                     b[static_cast<size_t>(transposed ? j * 61 + k : k * 35 + j)]));
        }
        EXPECT_NEAR(c[static_cast<size_t>(i * s.n + j)], sum, kF32Bound * 8);
      }
    }
  }
}

}  // namespace
}  // namespace borealis
