#include "kernels/rms_norm.h"

#include <gtest/gtest.h>

#include "kernels/reference/rms_norm.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;

constexpr float kEps = 1e-5f;

template <typename T>
struct Case {
  Case(int64_t rows_, int64_t D_)
      : rows(rows_),
        D(D_),
        x(random_values<T>(rows * D, 1)),
        delta(random_values<T>(rows * D, 2)),
        weight(random_values<T>(D, 3)),
        dy(random_values<T>(rows * D, 4)),
        dx(random_values<T>(rows * D, 5)),
        inv_rms(static_cast<size_t>(rows)) {}

  std::vector<T> forward() {
    std::vector<T> y(x.size());
    rms_norm_forward(x.data(), weight.data(), kEps, rows, D, y.data(), inv_rms.data());
    return y;
  }
  struct Gradients {
    std::vector<T> dx;
    std::vector<float> dweight;
    std::vector<T> normed;
  };
  Gradients backward(bool with_normed = false) {
    forward();
    Gradients out{dx, std::vector<float>(static_cast<size_t>(D), 0.5f),
                  std::vector<T>(with_normed ? x.size() : 0)};
    std::vector<float> scratch(static_cast<size_t>(rms_norm_backward_scratch_floats(D)), NAN);
    rms_norm_backward(dy.data(), x.data(), weight.data(), inv_rms.data(), rows, D, out.dx.data(),
                      out.dweight.data(), scratch.data(),
                      with_normed ? out.normed.data() : nullptr);
    return out;
  }

  int64_t rows, D;
  std::vector<T> x, delta, weight, dy, dx;
  std::vector<float> inv_rms;
};

template <typename T>
class RmsNorm : public ::testing::Test {
 public:
  template <class Body>
  static void for_each_case(const Body& body) {
    for_each_target([&] {
      for (const int64_t rows : {1, 3, 17, 131}) {
        for (const int64_t D : {1, 7, 64, 100, 106}) {
          SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(D));
          body(Case<T>(rows, D));
        }
      }
    });
  }
};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(RmsNorm, Types);

TYPED_TEST(RmsNorm, ForwardAgreesWithTwin) {
  using T = TypeParam;
  this->for_each_case([](Case<T> c) {
    std::vector<double> y(c.x.size()), inv_rms(c.inv_rms.size());
    reference::rms_norm_forward(to_double(c.x).data(), to_double(c.weight).data(), kEps, c.rows,
                                c.D, y.data(), inv_rms.data());
    // Two roundings to T on the way, and a few f32 operations.
    expect_close(c.forward(), y, 2.02 * half_ulp<T>() + 1e-6, 1e-37);
    expect_close(c.inv_rms, inv_rms, 1e-6, 0);
  });
}

TYPED_TEST(RmsNorm, RoundsBeforeTheWeight) {
  using T = TypeParam;
  this->for_each_case([](Case<T> c) {
    const auto y = c.forward();
    std::vector<T> expected(y.size());
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t D = static_cast<size_t>(c.D);
      const T normalized(static_cast<float>(c.x[i]) * c.inv_rms[i / D]);
      expected[i] = T(static_cast<float>(c.weight[i % D]) * static_cast<float>(normalized));
    }
    EXPECT_TRUE(same_bits(y, expected));
  });
}

TYPED_TEST(RmsNorm, ResidualFormIsSumThenNorm) {
  using T = TypeParam;
  this->for_each_case([](Case<T> c) {
    Case<T> summed = c;
    for (size_t i = 0; i < c.x.size(); ++i) {
      summed.x[i] = T(static_cast<float>(c.x[i]) + static_cast<float>(c.delta[i]));
    }
    const auto expected = summed.forward();
    std::vector<T> y(c.x.size());
    add_rms_norm_forward(c.x.data(), c.delta.data(), c.weight.data(), kEps, c.rows, c.D, c.x.data(),
                         y.data(), c.inv_rms.data());
    EXPECT_TRUE(same_bits(c.x, summed.x));  // in place
    EXPECT_TRUE(same_bits(y, expected));
    EXPECT_TRUE(same_bits(c.inv_rms, summed.inv_rms));
  });
}

TYPED_TEST(RmsNorm, BackwardMakesTheForwardPassOnceMore) {
  using T = TypeParam;
  this->for_each_case([](Case<T> c) {
    const auto with = c.backward(/*with_normed=*/true), without = c.backward();
    EXPECT_TRUE(same_bits(with.normed, c.forward()));
    EXPECT_TRUE(same_bits(with.dx, without.dx));
    EXPECT_TRUE(same_bits(with.dweight, without.dweight));
  });
}

TYPED_TEST(RmsNorm, BackwardAgreesWithTwinAndAccumulates) {
  using T = TypeParam;
  this->for_each_case([](Case<T> c) {
    const auto got = c.backward();
    auto dx = to_double(c.dx);
    std::vector<double> dweight(static_cast<size_t>(c.D), 0.5), scale(dweight.size()),
        unused(dx.size());
    reference::rms_norm_backward(to_double(c.dy).data(), to_double(c.x).data(),
                                 to_double(c.weight).data(), kEps, c.rows, c.D, dx.data(),
                                 dweight.data());
    expect_close(got.dx, dx, half_ulp<T>() + 1e-6, 2e-5);
    // dweight meets the normalized value as it was stored: half an ulp of each term.
    auto abs_x = to_double(c.x), abs_dy = to_double(c.dy);
    for (auto* values : {&abs_x, &abs_dy}) {
      for (double& value : *values) value = std::abs(value);
    }
    reference::rms_norm_backward(abs_dy.data(), abs_x.data(), to_double(c.weight).data(), kEps,
                                 c.rows, c.D, unused.data(), scale.data());
    for (size_t i = 0; i < dweight.size(); ++i) {
      ASSERT_NEAR(got.dweight[i], dweight[i], (half_ulp<T>() * 1.01 + 3e-6) * scale[i] + 1e-6);
    }
  });
}

TEST(RmsNormBackward, AgreesWithFiniteDifferences) {
  for_each_target([] {
    Case<float> c(3, 7);
    std::fill(c.dx.begin(), c.dx.end(), 0.0f);
    const auto got = c.backward();
    const auto x = to_double(c.x), weight = to_double(c.weight), dy = to_double(c.dy);
    const auto loss = [&](const std::vector<double>& x_, const std::vector<double>& weight_) {
      std::vector<double> y(x.size()), inv_rms(3);
      reference::rms_norm_forward(x_.data(), weight_.data(), kEps, c.rows, c.D, y.data(),
                                  inv_rms.data());
      return dot(y, dy);
    };
    expect_close(got.dx, numerical_gradient(x, [&](const auto& v) { return loss(v, weight); }),
                 1e-5, 1e-6);
    auto dweight = numerical_gradient(weight, [&](const auto& v) { return loss(x, v); });
    for (double& value : dweight) value += 0.5;
    expect_close(got.dweight, dweight, 1e-5, 1e-6);
  });
}

TYPED_TEST(RmsNorm, SameBitsForAnyThreadsAndAlignment) {
  using T = TypeParam;
  for_each_target([] {
    Case<T> c(201, 330);
    std::vector<T> y;
    typename Case<T>::Gradients gradients;
    for_each_thread_count([&] {
      const auto y_now = c.forward();
      const auto gradients_now = c.backward();
      if (y.empty()) {
        y = y_now;
        gradients = gradients_now;
      }
      EXPECT_TRUE(same_bits(y_now, y));
      EXPECT_TRUE(same_bits(gradients_now.dx, gradients.dx));
      EXPECT_TRUE(same_bits(gradients_now.dweight, gradients.dweight));
    });
    Misaligned<T> x(c.x), weight(c.weight), out(c.x);
    rms_norm_forward(x.data(), weight.data(), kEps, c.rows, c.D, out.data(), nullptr);
    EXPECT_TRUE(same_bits(out.values(), y));
  });
}

TYPED_TEST(RmsNorm, NoRowsIsNoWork) {
  using T = TypeParam;
  Case<T> c(0, 7);
  EXPECT_EQ(c.backward().dweight, std::vector<float>(7, 0.5f));
}

}  // namespace
}  // namespace borealis
