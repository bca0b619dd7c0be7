// The forms that kernels have for widths, alignments and devices: against the CPU's, or against the
// general form, which cuda_ops_test.cpp compares. Skipped where there is no GPU.
#include "kernels/cuda/cuda_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/device_array.h"
#include "kernels/cross_entropy.h"
#include "kernels/cuda/cross_entropy_cluster.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using testing::DeviceArray;
using testing::expect_close;
using testing::random_values;
using testing::same_bits;
using testing::to_double;

template <typename T>
class CudaKernelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no CUDA device";
    cuda::check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, 0),
                "looking");
  }
  static constexpr bool kIsF32 = dtype_of<T>() == DType::kF32;
  // Another order of f32 sums, and in bf16 one rounding that may fall to the other side.
  static double relative() { return kIsF32 ? 2e-5 : 0.017; }

  int multiprocessors_ = 0;
};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaKernelsTest, Types);

// Values that begin one element off any alignment.
template <typename T>
class Shifted {
 public:
  explicit Shifted(const std::vector<T>& values) : array_(with_one_before(values)) {}
  T* data() const { return array_.data() + 1; }
  std::vector<T> values() const {
    const std::vector<T> all = array_.values();
    return {all.begin() + 1, all.end()};
  }

 private:
  static std::vector<T> with_one_before(std::vector<T> values) {
    values.insert(values.begin(), T());
    return values;
  }
  DeviceArray<T> array_;
};

// Every number of threads, rows of more than a vector a thread, and several rows a block.
TYPED_TEST(CudaKernelsTest, NormsOfEveryWidth) {
  using T = TypeParam;
  const int multiprocessors = std::min(this->multiprocessors_, 8);  // as if there were no more
  const int64_t rows = 2 * gpu_norm_partial_rows(multiprocessors) + 5;
  for (const int64_t D : {1024, 1536, 2048, 3072, 4096, 8192, 8200, 1023}) {
    SCOPED_TRACE(D);
    const auto x = random_values<T>(rows * D, 1), dy = random_values<T>(rows * D, 2);
    const auto weight = random_values<T>(D, 3), delta = random_values<T>(rows * D, 4);
    std::vector<T> y(x.size()), sum(x.size()), dx = delta;
    std::vector<float> inv_rms(static_cast<size_t>(rows)), dweight(weight.size(), 0.5f);
    const DeviceArray<T> x_(x), dy_(dy), weight_(weight), delta_(delta), y_(y), sum_(sum), dx_(dx);
    const DeviceArray<float> inv_rms_(inv_rms), dweight_(dweight);
    const DeviceArray<float> partials_(
        std::vector<float>(static_cast<size_t>(gpu_norm_partial_rows(multiprocessors) * D)));
    const auto expect_same = [this](const auto& actual, const auto& expected) {
      expect_close(actual.values(), to_double(expected), this->relative(), 2e-6);
    };

    rms_norm_forward(x.data(), weight.data(), 1e-5f, rows, D, y.data(), inv_rms.data());
    cuda::rms_norm(RmsNormForward<T>{x_, weight_, 1e-5f, rows, D, y_, inv_rms_}, nullptr);
    expect_same(y_, y);
    expect_same(inv_rms_, inv_rms);

    // Of the same norms: where they differ by their last bit, bf16 values of a row that are equal
    // are all rounded otherwise, which adds up in dweight.
    const DeviceArray<float> given_(inv_rms);
    std::vector<float> scratch(static_cast<size_t>(rms_norm_backward_scratch_floats(D)));
    rms_norm_backward(dy.data(), x.data(), weight.data(), inv_rms.data(), rows, D, dx.data(),
                      dweight.data(), scratch.data());
    const DeviceArray<T> normed_(std::vector<T>(x.size()));
    cuda::rms_norm_backward(
        RmsNormBackward<T>{dy_, x_, weight_, given_, rows, D, dx_, dweight_, normed_}, partials_,
        multiprocessors, nullptr);
    expect_same(normed_, y);
    expect_close(dx_.values(), to_double(dx), this->relative(), this->kIsF32 ? 1e-5 : 0.01);
    expect_close(dweight_.values(), to_double(dweight), 1e-4, 1e-3);

    add_rms_norm_forward(x.data(), delta.data(), weight.data(), 1e-5f, rows, D, sum.data(),
                         y.data(), inv_rms.data());
    cuda::add_rms_norm(
        AddRmsNormForward<T>{{x_, weight_, 1e-5f, rows, D, y_, inv_rms_}, delta_, sum_}, nullptr);
    EXPECT_TRUE(same_bits(sum_.values(), sum));
    expect_same(y_, y);
    expect_same(inv_rms_, inv_rms);
  }
}

// Few heads and more than a block takes at once; sizes that lanes can share, and others.
TYPED_TEST(CudaKernelsTest, RopeOfEveryHead) {
  using T = TypeParam;
  constexpr int64_t kRows = 21, kPositions = 10;
  std::vector<int32_t> positions(kRows);
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i * 7 % 10);
  const DeviceArray<int32_t> positions_(positions);
  for (const int64_t C : {8, 64, 96, 128, 256}) {
    const RopeTable table = make_rope_table(10000, nullptr, C, kPositions, dtype_of<T>());
    const DeviceArray<float> cos(table.cos), sin(table.sin);
    const cuda::RopeTableOnDevice table_{cos, sin, kPositions};
    for (const int64_t heads : {1, 3, 41}) {
      SCOPED_TRACE(::testing::Message() << heads << " heads of " << C);
      const int64_t stride = (heads + 2) * C;
      const auto before = random_values<T>(kRows * stride, 1);
      for (const bool given : {false, true}) {
        auto expected = before;
        const DeviceArray<T> rows_(before);
        const Shifted<T> general_(before);
        const RopeRows turned{stride, heads, C, given ? positions_.data() : nullptr};
        rope_forward(expected.data(), kRows, stride, heads, C, table, 0,
                     given ? positions.data() : nullptr);
        for (T* rows : {rows_.data(), general_.data()}) {
          cuda::rope(rows, kRows, turned, table_, 1, nullptr);
        }
        expect_close(rows_.values(), to_double(expected), this->kIsF32 ? 1e-6 : 0.008, 1e-6);
        EXPECT_TRUE(same_bits(rows_.values(), general_.values()));
        for (T* rows : {rows_.data(), general_.data()}) {
          cuda::rope(rows, kRows, turned, table_, -1, nullptr);
        }
        EXPECT_TRUE(same_bits(rows_.values(), general_.values()));
        expect_close(rows_.values(), to_double(before), 0.01, this->kIsF32 ? 1e-5 : 0.03);
      }
    }
  }
}

// In one pass over the rows, where the device can hold them, or in two; with a row without target.
TYPED_TEST(CudaKernelsTest, CrossEntropyOfShortAndLongRows) {
  using T = TypeParam;
  constexpr float kScale = 0.25f;
  for (const int64_t V : {8, 1000, 4104, 32768, 50257, 256000}) {
    SCOPED_TRACE(V);
    const std::vector<int32_t> targets = {0, kNoTarget, static_cast<int32_t>(V - 1),
                                          static_cast<int32_t>(V / 3)};
    const auto rows = static_cast<int64_t>(targets.size());
    const auto logits = random_values<T>(rows * V, 1, 3.0);
    std::vector<double> loss(targets.size(), 0.0), gradient(logits.size(), 0.0);
    for (size_t row = 0; row < targets.size(); ++row) {
      if (targets[row] == kNoTarget) continue;
      const size_t first = row * static_cast<size_t>(V), end = first + static_cast<size_t>(V);
      const auto target = first + static_cast<size_t>(targets[row]);
      double sum = 0;
      const auto logit = [&](size_t i) {
        return static_cast<double>(static_cast<float>(logits[i]));
      };
      for (size_t i = first; i < end; ++i) sum += std::exp(logit(i));
      for (size_t i = first; i < end; ++i) {
        gradient[i] = kScale * (std::exp(logit(i)) / sum - (i == target ? 1.0 : 0.0));
      }
      loss[row] = std::log(sum) - logit(target);
    }
    const std::vector<float> no_loss(targets.size(), -1.0f);
    const DeviceArray<int32_t> targets_(targets);
    const DeviceArray<T> logits_(logits);
    const DeviceArray<float> loss_(no_loss), loss_alone_(no_loss);
    cuda::cross_entropy<T>(logits_, targets_, rows, V, loss_alone_, nullptr);
    EXPECT_TRUE(same_bits(logits_.values(), logits));
    expect_close(loss_alone_.values(), loss, 1e-5, 1e-6);
    cuda::cross_entropy_gradient<T>(logits_, targets_, rows, V, kScale, loss_, nullptr);
    expect_close(loss_.values(), loss, 1e-5, 1e-6);
    expect_close(logits_.values(), gradient, this->kIsF32 ? 2e-5 : 0.004, 1e-9);

    const DeviceArray<T> again_(logits);
    const DeviceArray<float> loss_again_(no_loss);
    if (!cuda::cluster_cross_entropy_gradient<T>(again_, targets_, rows, V, kScale, loss_again_,
                                                 nullptr)) {
      continue;
    }
    expect_close(loss_again_.values(), loss, 1e-5, 1e-6);
    expect_close(again_.values(), gradient, this->kIsF32 ? 2e-5 : 0.004, 1e-9);
  }
}

constexpr AdamWStep kStep{.learning_rate = 1e-2,
                          .beta1 = 0.9,
                          .beta2 = 0.95,
                          .eps = 1e-8,
                          .weight_decay = 0.1,
                          .bias_correction1 = 0.1,
                          .bias_correction2 = 0.05,
                          .gradient_scale = 0.7f};

template <typename T, template <typename> class Array>
struct AdamWState {
  explicit AdamWState(int64_t count)
      : weight(random_values<T>(count, 1)),
        remainder(std::vector<uint16_t>(static_cast<size_t>(count), 77)),
        m(random_values<float>(count, 2, 0.1)),
        v(std::vector<float>(static_cast<size_t>(count), 0.01f)) {}
  Array<T> weight;
  Array<uint16_t> remainder;
  Array<float> m, v;
};
template <typename A, typename B>
void expect_same_state(const A& a, const B& b) {
  EXPECT_TRUE(same_bits(a.weight.values(), b.weight.values()));
  EXPECT_TRUE(same_bits(a.remainder.values(), b.remainder.values()));
  EXPECT_TRUE(same_bits(a.m.values(), b.m.values()));
  EXPECT_TRUE(same_bits(a.v.values(), b.v.values()));
}

TYPED_TEST(CudaKernelsTest, AdamWInVectorsAndOneByOne) {
  using T = TypeParam;
  for (const int64_t count : {3, 1024, 5003}) {
    const AdamWState<T, DeviceArray> vectors(count);
    const AdamWState<T, Shifted> scalars(count);
    const DeviceArray<float> gradient(random_values<float>(count, 3));
    const auto update = [&](const auto& s) {
      cuda::adamw(AdamWSpan<T>{s.weight.data(), s.remainder.data(), s.m.data(), s.v.data(),
                               gradient.data(), count},
                  kStep, nullptr);
    };
    update(vectors);
    update(scalars);
    expect_same_state(vectors, scalars);
  }
}

// Rows with a gradient, with one in an earlier step, and with none, from the middle of a row on.
TYPED_TEST(CudaKernelsTest, AdamWOfRowsInVectorsAndOneByOne) {
  using T = TypeParam;
  constexpr int64_t kRows = 9, kSize = 2060, kBegin = 8, kEnd = kRows * kSize - 12;
  const AdamWState<T, DeviceArray> vectors(kEnd - kBegin);
  const AdamWState<T, Shifted> scalars(kEnd - kBegin);
  const std::vector<int32_t> place = {2, 0, 0, 1, 0, 0, 0, 0, 3};
  const std::vector<uint8_t> had = {0, 1, 0, 1, 0, 0, 0, 1, 0};
  const DeviceArray<int32_t> place_(place);
  const DeviceArray<float> values(random_values<float>(3 * kSize, 3));
  const auto update = [&](const auto& s) {
    const DeviceArray<uint8_t> had_(had);
    cuda::adamw_rows(cuda::AdamWRowsOnDevice<T>{.begin = kBegin,
                                                .end = kEnd,
                                                .row_size = kSize,
                                                .weight = s.weight.data(),
                                                .remainder = s.remainder.data(),
                                                .m = s.m.data(),
                                                .v = s.v.data(),
                                                .had_gradient = had_,
                                                .place = place_,
                                                .values = values},
                     kStep, nullptr);
  };
  update(vectors);
  update(scalars);
  expect_same_state(vectors, scalars);
}

TEST(CudaSumOfSquares, FromAnyPlace) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no CUDA device";
  for (const int64_t size : {3, 65539, 200002}) {
    const auto x = random_values<float>(size, 1);
    double expected = 0;
    for (const float value : x) expected += static_cast<double>(value) * value;
    const DeviceArray<float> x_(x);
    const Shifted<float> shifted_(x);
    const DeviceArray<double> sum_(std::vector<double>(1, -1.0)),
        partials_(
            std::vector<double>(static_cast<size_t>(cuda::sum_of_squares_partials(size)), 0.0));
    for (const float* from : {x_.data(), shifted_.data()}) {
      cuda::sum_of_squares(from, size, partials_, sum_, nullptr);
      EXPECT_NEAR(sum_.values()[0], expected, 1e-12 * expected);
    }
  }
}

}  // namespace
}  // namespace borealis
