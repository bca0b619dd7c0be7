#include "kernels/head_loss.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/cross_entropy.h"

namespace borealis {
namespace {

template <typename T>
std::vector<T> random_values(int64_t size, uint64_t stream, double scale) {
  const RandomStream random(5, stream);
  std::vector<T> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = T(static_cast<float>(scale * random.normal(i)));
  }
  return values;
}

// Plain softmax over the whole vocabulary, in double.
template <typename T>
struct Naive {
  double loss = 0;
  std::vector<double> dx, dw;

  Naive(const HeadShape& s, const HeadOperands<T>& in, double scale) {
    const auto [R, D, V] = s;
    dx.assign(static_cast<size_t>(R * D), 0);
    dw.assign(static_cast<size_t>(V * D), 0);
    for (int64_t r = 0; r < R; ++r) {
      std::vector<double> logits(static_cast<size_t>(V), 0);
      double sum = 0;
      for (int64_t v = 0; v < V; ++v) {
        double& logit = logits[static_cast<size_t>(v)];
        for (int64_t d = 0; d < D; ++d) {
          logit += static_cast<double>(static_cast<float>(in.x[r * D + d])) *
                   static_cast<double>(static_cast<float>(in.weight[v * D + d]));
        }
        sum += std::exp(logit);
      }
      if (in.targets[r] == kNoTarget) continue;
      loss += std::log(sum) - logits[static_cast<size_t>(in.targets[r])];
      for (int64_t v = 0; v < V; ++v) {
        const double g = scale * (std::exp(logits[static_cast<size_t>(v)]) / sum -
                                  (v == in.targets[r] ? 1.0 : 0.0));
        for (int64_t d = 0; d < D; ++d) {
          dx[static_cast<size_t>(r * D + d)] +=
              g * static_cast<double>(static_cast<float>(in.weight[v * D + d]));
          dw[static_cast<size_t>(v * D + d)] +=
              g * static_cast<double>(static_cast<float>(in.x[r * D + d]));
        }
      }
    }
  }
};

template <typename A, typename B>
double relative_distance(const std::vector<A>& got, const std::vector<B>& expected) {
  double distance = 0, length = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(static_cast<float>(got[i]));
    distance += (g - expected[i]) * (g - expected[i]);
    length += expected[i] * expected[i];
  }
  return std::sqrt(distance / length);
}

struct Variant {
  bool masked = false;                // every third token has no target
  std::vector<int64_t> loud_entries;  // of the vocabulary: logits many times as large
  ProductChoice products = ProductChoice::kLibrary;
};
const Variant kMasked{true, {}, ProductChoice::kLibrary};

template <typename T>
void expect_agreement(ProductMode mode, const HeadShape& s, double dx_bound, double dw_bound,
                      const Variant& variant = {}) {
  SCOPED_TRACE(::testing::Message() << s.rows << " " << s.hidden_size << " " << s.vocab_size);
  const auto x = random_values<T>(s.rows * s.hidden_size, 1, 1.0);
  auto w = random_values<T>(s.vocab_size * s.hidden_size, 2, 0.3);
  for (const int64_t entry : variant.loud_entries) {
    for (int64_t i = entry * s.hidden_size; i < (entry + 1) * s.hidden_size; ++i) {
      T& value = w[static_cast<size_t>(i)];
      value = T(static_cast<float>(value) * 64.0f);
    }
  }
  const RandomStream random(5, 9);
  std::vector<int32_t> targets(static_cast<size_t>(s.rows));
  for (size_t i = 0; i < targets.size(); ++i) {
    targets[i] = static_cast<int32_t>(random.below(i, static_cast<uint32_t>(s.vocab_size)));
  }
  targets[0] = 0;
  targets.back() = static_cast<int32_t>(s.vocab_size - 1);
  if (variant.masked) {
    for (size_t i = 1; i < targets.size(); i += 3) targets[i] = kNoTarget;
  }
  const HeadOperands<T> in{x.data(), w.data(), targets.data()};
  const Naive<T> naive(s, in, 0.25);

  std::vector<T> dx(x.size());
  std::vector<float> dw(w.size(), std::nanf(""));
  std::vector<float> scratch(static_cast<size_t>(head_scratch_floats(mode, s, variant.products)),
                             std::nanf(""));
  LinearEngine library(mode, nullptr), own(mode, nullptr, 2);
  LinearEngine& engine = variant.products == ProductChoice::kLibrary ? library : own;
  const double loss =
      head_loss_forward_backward(engine, s, in, 0.25f, dx.data(), dw.data(), false, scratch.data());
  EXPECT_NEAR(loss, naive.loss, 1e-6 * naive.loss);
  EXPECT_EQ(head_loss_forward(engine, s, in, scratch.data()), loss);
  EXPECT_LT(relative_distance(dx, naive.dx), dx_bound);
  EXPECT_LT(relative_distance(dw, naive.dw), dw_bound);

  // A second call adds to the weight's gradient and overwrites that of x.
  head_loss_forward_backward(engine, s, in, 0.25f, dx.data(), dw.data(), true, scratch.data());
  for (float& value : dw) value *= 0.5f;
  EXPECT_LT(relative_distance(dx, naive.dx), dx_bound);
  EXPECT_LT(relative_distance(dw, naive.dw), dw_bound);
}

// Rows beyond a token chunk, a vocabulary beyond a block, and neither.
const HeadShape kShapes[] = {{5, 7, 11}, {40, 24, 131}, {1100, 8, 300}};

TEST(HeadLoss, Fp32AgreesWithAPlainSoftmax) {
  for (const HeadShape& s : kShapes) {
    expect_agreement<float>(ProductMode::kF32, s, 3e-6, 3e-6);
  }
}

TEST(HeadLoss, WidenedBf16AgreesWithAPlainSoftmax) {
  for (const HeadShape& s : kShapes) {
    // dx is rounded once to 8 bits; dw stays in f32 all the way
    expect_agreement<bf16>(ProductMode::kBF16WidenedToF32, s, 0x1p-8, 3e-6);
  }
}

TEST(HeadLoss, NativeBf16AgreesWithAPlainSoftmax) {
  if (product_mode(DType::kBF16) != ProductMode::kBF16Native) {
    GTEST_SKIP() << "this CPU has no bf16 products";
  }
  std::vector<HeadShape> shapes(std::begin(kShapes), std::end(kShapes));
  // Several blocks of logits, and of gradients, the last one of each cut off.
  shapes.push_back({30, 16, 1100});
  shapes.push_back({30, 16, 4500});
  for (const HeadShape& s : shapes) {
    expect_agreement<bf16>(ProductMode::kBF16Native, s, 0x1p-7,
                           0x1p-7);  // logits' gradient in bf16
  }
}

// The head of head_bf16.h: tails of its tiles of 96 entries and 64 tokens, of its blocks of 1152
// and of the depth; several chunks of tokens; hidden sizes and vocabularies that it leaves to the
// other.
TEST(HeadLoss, OwnBf16ProductsAgreeWithAPlainSoftmax) {
  if (product_mode(DType::kBF16) != ProductMode::kBF16Native) {
    GTEST_SKIP() << "this CPU has no bf16 products";
  }
  std::vector<HeadShape> shapes(std::begin(kShapes), std::end(kShapes));
  for (const HeadShape& s : {HeadShape{5, 16, 12},
                             {64, 32, 96},
                             {70, 48, 132},
                             {1100, 16, 300},
                             {30, 16, 1154},
                             {33, 16, 4500},
                             {20, 1200, 226}}) {
    shapes.push_back(s);
  }
  for (const HeadShape& s : shapes) {
    for (const bool masked : {false, true}) {
      const Variant variant{masked, {}, ProductChoice::kOwnWhereTheyFit};
      expect_agreement<bf16>(ProductMode::kBF16Native, s, 0x1p-7, 0x1p-7, variant);
    }
  }
}

// Logits that rise by more than kShiftSlack within a block and from block to block; sums that were
// taken under a lower shift are scaled.
TEST(HeadLoss, MaximaThatRiseLateLoseNothing) {
  if (product_mode(DType::kBF16) != ProductMode::kBF16Native) {
    GTEST_SKIP() << "this CPU has no bf16 products";
  }
  for (const ProductChoice products : {ProductChoice::kLibrary, ProductChoice::kOwnWhereTheyFit}) {
    for (const std::vector<int64_t>& loud : {std::vector<int64_t>{500}, {1153, 2400, 2401}}) {
      const Variant variant{false, loud, products};
      // Bound of the others, twice: nearly all of a gradient is one entry's, rounded to bf16.
      expect_agreement<bf16>(ProductMode::kBF16Native, {50, 32, 3000}, 0x1p-6, 0x1p-6, variant);
    }
  }
}

// Of our own products; of oneDNN's, docs/numerics.md promises it for one number of threads alone.
TEST(HeadLoss, ThreadsDoNotChangeABit) {
  if (product_mode(DType::kBF16) != ProductMode::kBF16Native) {
    GTEST_SKIP() << "this CPU has no bf16 products";
  }
  const HeadShape s{150, 64, 2500};
  const auto x = random_values<bf16>(s.rows * s.hidden_size, 1, 1.0);
  const auto w = random_values<bf16>(s.vocab_size * s.hidden_size, 2, 0.3);
  const std::vector<int32_t> targets(static_cast<size_t>(s.rows), 1200);
  std::vector<float> scratch(static_cast<size_t>(head_scratch_floats(ProductMode::kBF16Native, s)));
  double first_loss = 0;
  std::vector<bf16> first_dx;
  std::vector<float> first_dw;
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3, 7}) {
    SCOPED_TRACE(threads);
    omp_set_num_threads(threads);  // an engine takes no more than these
    LinearEngine engine(ProductMode::kBF16Native, nullptr, threads);
    std::vector<bf16> dx(x.size());
    std::vector<float> dw(w.size());
    const double loss =
        head_loss_forward_backward(engine, s, {x.data(), w.data(), targets.data()}, 1.0f, dx.data(),
                                   dw.data(), false, scratch.data());
    if (threads == 1) first_loss = loss, first_dx = dx, first_dw = dw;
    EXPECT_EQ(loss, first_loss);
    EXPECT_TRUE(std::ranges::equal(dx, first_dx, {}, &bf16::bits, &bf16::bits));
    EXPECT_EQ(dw, first_dw);
  }
  omp_set_num_threads(before);
}

TEST(HeadLoss, TokensWithoutATargetCountForNothing) {
  for (const HeadShape& s : kShapes) {
    expect_agreement<float>(ProductMode::kF32, s, 3e-6, 3e-6, kMasked);
    expect_agreement<bf16>(ProductMode::kBF16WidenedToF32, s, 0x1p-8, 3e-6, kMasked);
    if (product_mode(DType::kBF16) == ProductMode::kBF16Native) {
      expect_agreement<bf16>(ProductMode::kBF16Native, s, 0x1p-7, 0x1p-7, kMasked);
    }
  }
}

// Vocabularies of several blocks, as wide models have them.
TEST(HeadLoss, BlocksOfTheVocabularyAddUp) {
  expect_agreement<float>(ProductMode::kF32, {12, 4, 8200}, 3e-6, 3e-6);
  expect_agreement<bf16>(ProductMode::kBF16WidenedToF32, {6, 32768, 200}, 0x1p-8, 3e-6);
}

TEST(HeadLoss, LogitsAreThePlainProduct) {
  const HeadShape s{9, 6, 40};
  const auto x = random_values<float>(s.rows * s.hidden_size, 1, 1.0);
  const auto w = random_values<float>(s.vocab_size * s.hidden_size, 2, 1.0);
  std::vector<float> logits(static_cast<size_t>(s.rows * s.vocab_size));
  std::vector<float> scratch(static_cast<size_t>(head_scratch_floats(ProductMode::kF32, s)));
  LinearEngine engine(ProductMode::kF32, nullptr);
  head_logits(engine, s, x.data(), w.data(), logits.data(), scratch.data());
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t v = 0; v < s.vocab_size; ++v) {
      double sum = 0;
      for (int64_t d = 0; d < s.hidden_size; ++d) {
        sum += static_cast<double>(x[static_cast<size_t>(r * s.hidden_size + d)]) *
               static_cast<double>(w[static_cast<size_t>(v * s.hidden_size + d)]);
      }
      EXPECT_NEAR(logits[static_cast<size_t>(r * s.vocab_size + v)], sum, 1e-5);
    }
  }
}

}  // namespace
}  // namespace borealis
