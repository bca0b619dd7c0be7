#include "kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/reference/cross_entropy.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;

constexpr float kLowest = -std::numeric_limits<float>::infinity();

struct Result {
  std::vector<float> loss, gradient;
};

// Loss and gradient of [rows, cols] logits visited in blocks of columns, each with leading
// dimension ld > its columns; the gap must stay as it was.
Result by_blocks(const std::vector<float>& logits, const std::vector<int32_t>& targets,
                 int64_t cols, int64_t block, float scale) {
  const auto rows = static_cast<int64_t>(targets.size());
  const int64_t ld = block + 3;
  std::vector<float> shift(targets.size(), kLowest), sum(targets.size(), 0.0f);
  std::vector<float> target_logit(targets.size(), NAN), buffer;
  Result result{std::vector<float>(targets.size()), std::vector<float>(logits.size())};
  for (const bool backwards : {false, true}) {
    for (int64_t first = 0; first < cols; first += block) {
      const int64_t width = std::min(block, cols - first);
      buffer.assign(static_cast<size_t>(rows * ld), 1e9f);
      for (int64_t r = 0; r < rows; ++r) {
        std::copy_n(&logits[static_cast<size_t>(r * cols + first)], width,
                    &buffer[static_cast<size_t>(r * ld)]);
      }
      if (!backwards) {
        online_softmax_update(buffer.data(), rows, width, ld, shift.data(), sum.data());
        gather_target_logits(buffer.data(), rows, width, ld, targets.data(), first,
                             target_logit.data());
        continue;
      }
      cross_entropy_gradient(buffer.data(), rows, width, ld, shift.data(), sum.data(),
                             targets.data(), first, scale);
      for (int64_t r = 0; r < rows; ++r) {
        const auto begin = buffer.begin() + r * ld;
        std::copy_n(begin, width, &result.gradient[static_cast<size_t>(r * cols + first)]);
        EXPECT_TRUE(std::all_of(begin + width, begin + ld, [](float v) { return v == 1e9f; }));
      }
    }
  }
  for (size_t r = 0; r < targets.size(); ++r) {
    result.loss[r] = shift[r] + std::log(sum[r]) - target_logit[r];
  }
  return result;
}

std::vector<int32_t> spread_targets(int64_t rows, int64_t cols) {
  std::vector<int32_t> targets;
  for (int64_t r = 0; r < rows; ++r)
    targets.push_back(static_cast<int32_t>((r * 37 + cols - 1) % cols));
  return targets;
}

TEST(CrossEntropy, AgreesWithTwinForAnyBlocks) {
  for_each_target([] {
    for (const int64_t rows : {1, 3, 17}) {
      for (const int64_t cols : {1, 7, 64, 100, 106}) {
        SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(cols));
        const auto logits = random_values<float>(rows * cols, 1, 8.0);
        const auto targets = spread_targets(rows, cols);
        std::vector<double> loss(targets.size()), gradient(logits.size());
        reference::cross_entropy(to_double(logits).data(), targets.data(), rows, cols, 0.25,
                                 loss.data(), gradient.data());
        for (const int64_t block : {cols, int64_t{33}, int64_t{8}}) {
          const auto got = by_blocks(logits, targets, cols, block, 0.25f);
          expect_close(got.loss, loss, 1e-6, 5e-6);
          expect_close(got.gradient, gradient, 5e-6, 1e-7);
        }
      }
    }
  });
}

// A rounding to bf16 of 2^-8, two where the shift of the row moved later.
TEST(CrossEntropy, KeptExponentialsGiveTheSameGradientInBf16) {
  for_each_target([] {
    for (const int64_t cols : {1, 7, 100, 517}) {
      constexpr int64_t kRows = 9;
      auto logits = random_values<float>(kRows * cols, 1, 8.0);
      const auto targets = spread_targets(kRows, cols);
      // Nearly certain of its target: p - 1 is tiny, and must be right nevertheless.
      logits[static_cast<size_t>(targets[0])] = 45.0f;
      // A shift that moves at the last column, and one that lies far above most of the row.
      logits[static_cast<size_t>(2 * cols - 1)] = 90.0f;
      logits[static_cast<size_t>(2 * cols)] = 90.0f;
      std::vector<double> loss(targets.size()), gradient(logits.size());
      reference::cross_entropy(to_double(logits).data(), targets.data(), kRows, cols, 0.25,
                               loss.data(), gradient.data());
      for (const int64_t block : {cols, int64_t{33}, int64_t{8}}) {
        const int64_t blocks = (cols + block - 1) / block;
        std::vector<float> shift(kRows, kLowest), sum(kRows), target_logit(kRows);
        std::vector<float> block_shift(static_cast<size_t>(kRows * blocks));
        std::vector<bf16> p(logits.size());
        for (int64_t first = 0; first < cols; first += block) {
          const int64_t width = std::min(block, cols - first);
          const float* part = logits.data() + first;
          online_softmax_update_keeping(part, kRows, width, cols, p.data() + first, cols,
                                        shift.data(), sum.data(),
                                        block_shift.data() + first / block * kRows);
          gather_target_logits(part, kRows, width, cols, targets.data(), first,
                               target_logit.data());
        }
        for (int64_t first = 0; first < cols; first += block) {
          cross_entropy_gradient_from_kept(p.data() + first, kRows, std::min(block, cols - first),
                                           cols, block_shift.data() + first / block * kRows,
                                           shift.data(), sum.data(), target_logit.data(),
                                           targets.data(), first);
        }
        std::vector<float> scaled(p.size());
        for (size_t i = 0; i < p.size(); ++i) {
          scaled[i] = static_cast<float>(p[i]) * 0.25f / sum[i / static_cast<size_t>(cols)];
        }
        expect_close(scaled, gradient, 0x1p-7, 1e-7);
        for (int64_t r = 0; r < kRows; ++r) {
          EXPECT_NEAR(shift[r] + std::log(sum[r]) - target_logit[r], loss[r],
                      1e-6 * loss[r] + 5e-6);
        }
      }
    }
  });
}

TEST(CrossEntropy, GradientAgreesWithFiniteDifferences) {
  for_each_target([] {
    const auto logits = random_values<float>(3 * 11, 1, 2.0);
    const std::vector<int32_t> targets = {0, 10, 5};
    const auto expected = numerical_gradient(to_double(logits), [&](const auto& values) {
      std::vector<double> loss(3), unused(values.size());
      reference::cross_entropy(values.data(), targets.data(), 3, 11, 1.0, loss.data(),
                               unused.data());
      return loss[0] + loss[1] + loss[2];
    });
    expect_close(by_blocks(logits, targets, 11, 4, 1.0f).gradient, expected, 1e-5, 1e-6);
  });
}

TEST(CrossEntropy, SurvivesExtremeLogits) {
  for_each_target([] {
    // A certain answer, a hopeless one, and masked (-inf) entries around the target.
    const std::vector<float> logits = {3e38f, 0, -3e38f, 0, 0, 500.0f, kLowest, 1.0f, kLowest};
    const auto got = by_blocks(logits, {0, 0, 1}, 3, 2, 1.0f);
    EXPECT_EQ(got.loss[0], 0.0f);
    EXPECT_EQ(got.loss[1], 500.0f);
    EXPECT_EQ(got.loss[2], 0.0f);
    EXPECT_EQ(got.gradient, (std::vector<float>{0, 0, 0, -1, 0, 1, 0, 0, 0}));
  });
}

TEST(CrossEntropy, NonFiniteLogitsMakeTheLossNonFinite) {
  for_each_target([] {
    for (const float poison : {NAN, -NAN, std::numeric_limits<float>::infinity()}) {
      for (size_t at = 0; at < 40; ++at) {
        auto logits = random_values<float>(40, 1);
        logits[at] = poison;
        EXPECT_FALSE(std::isfinite(by_blocks(logits, {7}, 40, 16, 1.0f).loss[0])) << at;
      }
    }
  });
}

TEST(CrossEntropy, TargetsOfOtherBlocksAndNegativeOnesAreLeftAlone) {
  std::vector<float> logits = {0, 0, 0, 0, 0, 0};
  const std::vector<int32_t> targets = {12, 9, -1};
  std::vector<float> target_logit = {-5, -5, -5};
  gather_target_logits(logits.data(), 3, 2, 2, targets.data(), 10, target_logit.data());
  EXPECT_EQ(target_logit, (std::vector<float>{-5, -5, -5}));
  const std::vector<float> max = {0, 0, 0}, sum = {2, 2, 2};
  cross_entropy_gradient(logits.data(), 3, 2, 2, max.data(), sum.data(), targets.data(), 0, 1.0f);
  EXPECT_EQ(logits, std::vector<float>(6, 0.5f));
}

TEST(CrossEntropy, SameBitsForAnyThreads) {
  for_each_target([] {
    const auto logits = random_values<float>(65 * 1001, 1, 3.0);
    Result first;
    for_each_thread_count([&] {
      const auto got = by_blocks(logits, spread_targets(65, 1001), 1001, 400, 0.1f);
      if (first.loss.empty()) first = got;
      EXPECT_TRUE(same_bits(got.loss, first.loss));
      EXPECT_TRUE(same_bits(got.gradient, first.gradient));
    });
  });
}

// exp(x), through the gradient of a row whose maximum is 0 and sum 1.
TEST(VectorExp, IsWithinTwoUlpWhereNotTiny) {
  for_each_target([] {
    std::vector<float> x;
    for (float value = -86.9f; value < 88.7f; value += 0.00173f) x.push_back(value);
    for (const float value : {0.0f, -0.0f, 1e-30f, -1e-30f, 88.38f, 88.72f}) {
      x.push_back(value);
    }
    auto y = x;
    const std::vector<float> max = {0}, sum = {1};
    const std::vector<int32_t> target = {-1};
    const auto n = static_cast<int64_t>(x.size());
    cross_entropy_gradient(y.data(), 1, n, n, max.data(), sum.data(), target.data(), 0, 1.0f);
    int64_t worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto exact = static_cast<float>(std::exp(static_cast<double>(x[i])));
      worst = std::max(worst, ulp_distance(y[i], exact));
    }
    EXPECT_LE(worst, 2);
  });
}

TEST(VectorExp, HandlesTheEnds) {
  for_each_target([] {
    const float inf = std::numeric_limits<float>::infinity();
    std::vector<float> x = {kLowest, -3e38f, -1000, -87.0f, 88.73f, 105, 3e38f, inf, NAN};
    const std::vector<float> max = {0}, sum = {1};
    const std::vector<int32_t> target = {-1};
    cross_entropy_gradient(x.data(), 1, 9, 9, max.data(), sum.data(), target.data(), 0, 1.0f);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(x[i], 0.0f) << i;
    for (size_t i = 4; i < 8; ++i) EXPECT_EQ(x[i], inf) << i;
    EXPECT_TRUE(std::isnan(x[8]));
  });
}

}  // namespace
}  // namespace borealis
