#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/random.h"

namespace borealis {
namespace {

template <typename T>
std::vector<T> random_matrix(int64_t size, uint64_t stream) {
  const RandomStream random(3, stream);
  std::vector<T> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = T(static_cast<float>(random.normal(i)));
  return values;
}

template <typename T>
double at(const std::vector<T>& matrix, int64_t i) {
  return static_cast<double>(static_cast<float>(matrix[static_cast<size_t>(i)]));
}

// Largest error relative to sqrt(depth), the size of such a sum of products.
struct Errors {
  double forward = 0, data = 0, weight = 0;
};

template <typename T>
Errors errors_of(ProductMode mode, const LinearShape& s,
                 ProductChoice products = ProductChoice::kLibrary) {
  const auto [M, N, K] = s;
  const auto x = random_matrix<T>(M * K, 1), w = random_matrix<T>(N * K, 2),
             dy = random_matrix<T>(M * N, 3);
  const auto before = random_matrix<float>(N * K, 4);
  std::vector<T> y(static_cast<size_t>(M * N)), dx(static_cast<size_t>(M * K));
  std::vector<float> dw = before;
  std::vector<float> scratch(static_cast<size_t>(linear_scratch_floats(mode, s, products)));
  LinearEngine library(mode, scratch.data()), own(mode, scratch.data(), 2);
  LinearEngine& engine = products == ProductChoice::kLibrary ? library : own;
  engine.forward(x.data(), w.data(), y.data(), s);
  engine.backward_data(dy.data(), w.data(), dx.data(), s);
  engine.backward_weight(dy.data(), x.data(), dw.data(), /*accumulate=*/true, s);
  std::vector<float> replaced(before.size(), std::nanf(""));
  engine.backward_weight(dy.data(), x.data(), replaced.data(), /*accumulate=*/false, s);

  Errors errors;
  const auto note = [](double& largest, double got, double expected, int64_t depth) {
    largest = std::max(largest, std::abs(got - expected) / std::sqrt(static_cast<double>(depth)));
  };
  for (int64_t i = 0; i < M; ++i) {
    for (int64_t j = 0; j < N; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) sum += at(x, i * K + k) * at(w, j * K + k);
      note(errors.forward, at(y, i * N + j), sum, K);
    }
    for (int64_t k = 0; k < K; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < N; ++j) sum += at(dy, i * N + j) * at(w, j * K + k);
      note(errors.data, at(dx, i * K + k), sum, N);
    }
  }
  for (int64_t j = 0; j < N; ++j) {
    for (int64_t k = 0; k < K; ++k) {
      double sum = 0;
      for (int64_t i = 0; i < M; ++i) sum += at(dy, i * N + j) * at(x, i * K + k);
      note(errors.weight, at(dw, j * K + k), at(before, j * K + k) + sum, M);
      note(errors.weight, at(replaced, j * K + k), sum, M);
    }
  }
  return errors;
}

const LinearShape kShapes[] = {{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {64, 96, 128}, {130, 70, 51}};

TEST(Linear, Fp32AgreesWithPlainSums) {
  for (const LinearShape& s : kShapes) {
    const Errors errors = errors_of<float>(ProductMode::kF32, s);
    EXPECT_LT(errors.forward, 2e-6) << s.rows;
    EXPECT_LT(errors.data, 2e-6) << s.rows;
    EXPECT_LT(errors.weight, 2e-6) << s.rows;
  }
}

// Results of bf16 are rounded once: half a unit of a value of about 4 sqrt(depth) is 2^-8 * 4.
constexpr double kBf16Bound = 0x1p-6;

TEST(Linear, WidenedBf16AgreesWithPlainSums) {
  for (const LinearShape& s : kShapes) {
    const Errors errors = errors_of<bf16>(ProductMode::kBF16WidenedToF32, s);
    EXPECT_LT(errors.forward, kBf16Bound) << s.rows;
    EXPECT_LT(errors.data, kBf16Bound) << s.rows;
    EXPECT_LT(errors.weight, 2e-6) << s.rows;  // stays in f32
  }
}

TEST(Linear, WidenedBf16AcrossBlocks) {
  // More tokens than a block, and a weight of more floats than one.
  const LinearShape long_batch{2100, 20, 30}, wide{4, 300, 65600};
  const Errors of_long = errors_of<bf16>(ProductMode::kBF16WidenedToF32, long_batch);
  EXPECT_LT(of_long.forward, kBf16Bound);
  EXPECT_LT(of_long.data, kBf16Bound);
  EXPECT_LT(of_long.weight, 2e-6);
  const Errors of_wide = errors_of<bf16>(ProductMode::kBF16WidenedToF32, wide);
  EXPECT_LT(of_wide.forward, kBf16Bound);
  EXPECT_LT(of_wide.data, kBf16Bound);
}

TEST(Linear, NativeBf16AgreesWithPlainSums) {
  if (product_mode(DType::kBF16) != ProductMode::kBF16Native) {
    GTEST_SKIP() << "this CPU has no bf16 products";
  }
  for (const ProductChoice products : {ProductChoice::kLibrary, ProductChoice::kOwnWhereTheyFit}) {
    for (const LinearShape& s : kShapes) {
      const Errors errors = errors_of<bf16>(ProductMode::kBF16Native, s, products);
      EXPECT_LT(errors.forward, kBf16Bound) << s.rows;
      EXPECT_LT(errors.data, kBf16Bound) << s.rows;
      EXPECT_LT(errors.weight, 2e-6) << s.rows;
    }
  }
}

// Elements are final when the epilogue sees them, and it sees each of them once.
template <typename T>
void expect_one_epilogue(ProductMode mode, const LinearShape& s, int64_t unit, int threads) {
  const auto x = random_matrix<T>(s.rows * s.in_features, 1),
             w = random_matrix<T>(s.out_features * s.in_features, 2);
  std::vector<T> expected(static_cast<size_t>(s.rows * s.out_features)), y = expected;
  std::vector<T> seen(expected.size(), T(std::nanf("")));
  std::vector<int> times(expected.size());
  std::vector<float> scratch(static_cast<size_t>(linear_scratch_floats(mode, s)));
  LinearEngine engine(mode, scratch.data(), threads);
  engine.forward(x.data(), w.data(), expected.data(), s);

  std::mutex mutex;
  const ResultEpilogue epilogue{unit, [&](const ResultBlock& block) {
                                  const std::lock_guard lock(mutex);
                                  const int64_t end = block.column + block.columns;
                                  EXPECT_EQ(block.column % unit, 0);
                                  EXPECT_TRUE(end % unit == 0 || end == s.out_features);
                                  for (int64_t r = block.row; r < block.row + block.rows; ++r) {
                                    for (int64_t c = block.column; c < end; ++c) {
                                      const auto at = static_cast<size_t>(r * s.out_features + c);
                                      seen[at] = y[at];
                                      y[at] = T(7.0f);  // stays
                                      ++times[at];
                                    }
                                  }
                                }};
  engine.forward(x.data(), w.data(), y.data(), s, &epilogue);
  EXPECT_EQ(times, std::vector<int>(times.size(), 1));
  EXPECT_EQ(0, std::memcmp(seen.data(), expected.data(), seen.size() * sizeof(T)));
  for (const T value : y) ASSERT_EQ(static_cast<float>(value), 7.0f);
}

// Heads of 64, 80, 96 and 128, one that is larger than what our products pack at a time, and one
// that shares few factors with it.
constexpr int64_t kUnits[] = {64, 80, 96, 128, 1024, 14};

void expect_one_epilogue_for_any_threads(const LinearShape& s, int64_t unit) {
  SCOPED_TRACE(::testing::Message() << unit << ": " << s.rows << " " << s.out_features);
  for (const int threads : {1, 2, 3}) {
    expect_one_epilogue<bf16>(product_mode(DType::kBF16), s, unit, threads);
  }
}

TEST(Linear, AnEpilogueSeesEachFinalElementOnce) {
  for (const int64_t unit : kUnits) {
    expect_one_epilogue_for_any_threads({1, unit * 3, 34}, unit);
    expect_one_epilogue_for_any_threads({101, unit * 16, 70}, unit);
    expect_one_epilogue<float>(ProductMode::kF32, {101, unit * 3, 70}, unit, 2);
    expect_one_epilogue<bf16>(ProductMode::kBF16WidenedToF32, {101, unit * 3, 70}, unit, 2);
  }
}

TEST(Linear, AnEpilogueWaitsForSumsOfSeveralBlocks) {
  for (const int64_t unit : kUnits) {
    expect_one_epilogue_for_any_threads({1163, unit == 1024 ? 2 * unit : unit * 4, 1216}, unit);
  }
}

}  // namespace
}  // namespace borealis
