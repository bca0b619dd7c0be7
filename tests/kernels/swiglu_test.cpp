#include "kernels/swiglu.h"

#include <gtest/gtest.h>

#include "kernels/reference/swiglu.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;

template <typename T>
class SwiGlu : public ::testing::Test {
 public:
  template <class Body>
  static void for_each_case(const Body& body) {
    for_each_target([&] {
      for (const int64_t rows : {1, 3, 17}) {
        for (const int64_t F : {1, 7, 64, 100, 106}) {
          SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(F));
          body(rows, F, random_values<T>(rows * 2 * F, 1, 3.0), random_values<T>(rows * F, 2));
        }
      }
    });
  }
};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(SwiGlu, Types);

TYPED_TEST(SwiGlu, ForwardAgreesWithTwin) {
  using T = TypeParam;
  this->for_each_case([](int64_t rows, int64_t F, std::vector<T> gate_up, std::vector<T> out) {
    std::vector<double> expected(out.size());
    reference::swiglu_forward(to_double(gate_up).data(), rows, F, expected.data());
    swiglu_forward(gate_up.data(), rows, F, out.data());
    expect_close(out, expected, half_ulp<T>() + 6e-7, 1e-30);
  });
}

TYPED_TEST(SwiGlu, BackwardAgreesWithTwin) {
  using T = TypeParam;
  this->for_each_case([](int64_t rows, int64_t F, std::vector<T> gate_up, std::vector<T> dout) {
    std::vector<double> expected(gate_up.size());
    reference::swiglu_backward(to_double(gate_up).data(), to_double(dout).data(), rows, F,
                               expected.data());
    std::vector<T> out(dout.size());
    swiglu_forward(gate_up.data(), rows, F, out.data());
    swiglu_backward(gate_up.data(), dout.data(), rows, F);
    expect_close(gate_up, expected, half_ulp<T>() + 1e-6, 3e-6);  // 1 + g (1 - s) may cancel
    EXPECT_TRUE(same_bits(dout, out));
  });
}

TEST(SwiGluBackward, AgreesWithFiniteDifferences) {
  for_each_target([] {
    auto gate_up = random_values<float>(3 * 14, 1, 2.0);
    auto dout = random_values<float>(3 * 7, 2);
    const auto expected = numerical_gradient(to_double(gate_up), [&](const auto& values) {
      std::vector<double> out(dout.size());
      reference::swiglu_forward(values.data(), 3, 7, out.data());
      return dot(out, to_double(dout));
    });
    swiglu_backward(gate_up.data(), dout.data(), 3, 7);
    expect_close(gate_up, expected, 1e-5, 3e-6);
  });
}

TYPED_TEST(SwiGlu, SaturatesQuietly) {
  using T = TypeParam;
  for_each_target([] {
    std::vector<T> gate_up;
    for (const float gate : {-1e30f, -200.0f, -80.0f, 0.0f, 200.0f, NAN}) {
      gate_up.push_back(T(gate));
    }
    gate_up.resize(12, T(1.0f));
    std::vector<T> out(6);
    swiglu_forward(gate_up.data(), 1, 6, out.data());
    const auto result = [&](size_t i) { return static_cast<float>(out[i]); };
    EXPECT_EQ(result(0), 0.0f);
    EXPECT_EQ(result(1), 0.0f);
    EXPECT_NEAR(result(2) / (-80 * std::exp(-80.0)), 1.0, half_ulp<T>() + 1e-6);
    EXPECT_EQ(result(3), 0.0f);
    EXPECT_EQ(result(4), 200.0f);
    EXPECT_TRUE(std::isnan(result(5)));
  });
}

TYPED_TEST(SwiGlu, SameBitsForAnyThreadsAndAlignment) {
  using T = TypeParam;
  for_each_target([] {
    constexpr int64_t kRows = 101, kF = 330;
    const auto gate_up = random_values<T>(kRows * 2 * kF, 1);
    const auto dout = random_values<T>(kRows * kF, 2);
    std::vector<T> first_out, first_gradient;
    for_each_thread_count([&] {
      std::vector<T> out(dout.size());
      swiglu_forward(gate_up.data(), kRows, kF, out.data());
      auto gradient = gate_up, again = dout;
      swiglu_backward(gradient.data(), again.data(), kRows, kF);
      Misaligned<T> moved(gate_up), moved_out(dout);
      swiglu_backward(moved.data(), moved_out.data(), kRows, kF);
      if (first_out.empty()) {
        first_out = out;
        first_gradient = gradient;
      }
      EXPECT_TRUE(same_bits(out, first_out));
      EXPECT_TRUE(same_bits(gradient, first_gradient));
      EXPECT_TRUE(same_bits(moved.values(), first_gradient));
      EXPECT_TRUE(same_bits(again, first_out));
      EXPECT_TRUE(same_bits(moved_out.values(), first_out));
    });
  });
}

}  // namespace
}  // namespace borealis
