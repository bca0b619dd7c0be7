// The operations on a GPU against those on the CPU, which are tested against plain twins in f64 by
// themselves. Skipped where there is no GPU.
#include "kernels/cuda/cuda_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/memory.h"
#include "cuda/device_array.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cross_entropy.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/cuda_optimizer_ops.h"
#include "kernels/grad_norm.h"
#include "kernels/rms_norm.h"
#include "support/kernel_testing.h"
#include "tensor/row_gradients.h"

namespace borealis {
namespace {

using testing::DeviceArray;
using testing::expect_close;
using testing::random_values;
using testing::same_bits;
using testing::to_double;

bool has_gpu() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

int multiprocessors() {
  int count = 0;
  cuda::check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0), "looking");
  return count;
}

constexpr int64_t kPositions = 64;  // of RoPE's table

// Of a small model, in which nothing is a multiple of a vector unless it is said to be.
struct Sizes {
  int64_t rows, D, F, H, K, C, V;
};
constexpr Sizes kOdd{37, 45, 51, 3, 1, 6, 203};
constexpr Sizes kLongRows{7, 2051, 8, 1, 1, 2, 11};  // more than a vector a thread
constexpr Sizes kEven{96, 256, 512, 4, 2, 64, 1024};

template <typename T>
class CudaOpsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_gpu()) GTEST_SKIP() << "no CUDA device";
  }

  // Both backends for these sizes.
  void begin(const Sizes& sizes) {
    const RopeTable rope = make_rope_table(10000, nullptr, sizes.C, kPositions, dtype_of<T>());
    const GpuOpsShape shape{.micro_batch_size = 1,
                            .seq_length = sizes.rows,
                            .hidden_size = sizes.D,
                            .num_heads = sizes.H,
                            .num_key_value_heads = sizes.K,
                            .head_dim = sizes.C,
                            .vocab_size = sizes.V,
                            .rope_positions = kPositions,
                            .head_rows = (sizes.rows + 1) / 2,
                            .forward_only = false,
                            .documents = false};
    GpuProfile profile;
    profile.multiprocessors = multiprocessors();
    profile.has_fused_attention = false;  // fused_attention_test.cpp has that
    const int64_t bytes = gpu_ops_bytes(shape, dtype_of<T>(), profile);
    memory_.emplace(std::vector<std::byte>(static_cast<size_t>(bytes)));
    gpu_ = cuda::make_cuda_ops<T>(shape, profile, rope, memory_->data(), nullptr);
    constexpr size_t kScratchBytes = size_t{64} << 20;
    scratch_ = PageBuffer(kScratchBytes, "scratch");
    auto* floats = reinterpret_cast<float*>(scratch_.data());
    cpu_ = make_cpu_ops<T>({.mode = product_mode(dtype_of<T>()),
                            .products = ProductChoice::kOwnWhereTheyFit,
                            .threads = 2,
                            .rope = rope,
                            .scratch = floats,
                            .norm_scratch = floats + (kScratchBytes / sizeof(float)) -
                                            rms_norm_backward_scratch_floats(sizes.D)});
  }

  // For sums of `terms` products of normal numbers: f32 adds them in another order; in bf16 results
  // are rounded, in some places after another rounding of an operand.
  static double absolute(double terms) {
    return dtype_of<T>() == DType::kF32 ? 2e-6 * std::sqrt(terms) : 0.02 * std::sqrt(terms);
  }
  static double relative() { return dtype_of<T>() == DType::kF32 ? 2e-5 : 0.017; }

  std::optional<DeviceArray<std::byte>> memory_;
  PageBuffer scratch_;
  std::unique_ptr<Ops<T>> gpu_, cpu_;
};

using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaOpsTest, Types);

template <typename T>
void expect_same(const std::vector<T>& actual, const std::vector<T>& expected, double relative,
                 double absolute) {
  expect_close(actual, to_double(expected), relative, absolute);
}

std::vector<int32_t> random_ids(int64_t count, int64_t below, uint64_t seed) {
  const RandomStream stream(seed, 1);
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>(std::abs(stream.normal(i)) * 1e6) % static_cast<int32_t>(below);
  }
  return ids;
}

TYPED_TEST(CudaOpsTest, Norms) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven, kLongRows}) {
    this->begin(s);
    const auto x = random_values<T>(s.rows * s.D, 1), delta = random_values<T>(s.rows * s.D, 2);
    const auto weight = random_values<T>(s.D, 3), dy = random_values<T>(s.rows * s.D, 4);
    std::vector<T> sum(x.size()), y(x.size()), dx = delta;
    std::vector<float> inv_rms(static_cast<size_t>(s.rows)), dweight(weight.size(), 0.5f);
    const DeviceArray<T> x_(x), delta_(delta), weight_(weight), dy_(dy), sum_(sum), y_(y), dx_(dx);
    const DeviceArray<float> inv_rms_(inv_rms), dweight_(dweight);

    const double rel = this->relative(), abs = this->absolute(1);
    this->cpu_->rms_norm({x.data(), weight.data(), 1e-5f, s.rows, s.D, y.data(), inv_rms.data()});
    this->gpu_->rms_norm({x_, weight_, 1e-5f, s.rows, s.D, y_, inv_rms_});
    expect_same(y_.values(), y, rel, abs);
    expect_same(inv_rms_.values(), inv_rms, 1e-5, 0);

    this->cpu_->rms_norm_backward({dy.data(), x.data(), weight.data(), inv_rms.data(), s.rows, s.D,
                                   dx.data(), dweight.data()});
    this->gpu_->rms_norm_backward({dy_, x_, weight_, inv_rms_, s.rows, s.D, dx_, dweight_});
    expect_same(dx_.values(), dx, rel, abs);
    expect_same(dweight_.values(), dweight, 1e-4, 1e-4);

    this->cpu_->add_rms_norm(
        {{x.data(), weight.data(), 1e-5f, s.rows, s.D, y.data(), inv_rms.data()},
         delta.data(),
         sum.data()});
    this->gpu_->add_rms_norm({{x_, weight_, 1e-5f, s.rows, s.D, y_, inv_rms_}, delta_, sum_});
    EXPECT_TRUE(same_bits(sum_.values(), sum));
    expect_same(y_.values(), y, rel, abs);
    expect_same(inv_rms_.values(), inv_rms, 1e-5, 0);
  }
}

TYPED_TEST(CudaOpsTest, Products) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven}) {
    this->begin(s);
    const LinearShape shape{s.rows, s.F, s.D};
    const auto x = random_values<T>(s.rows * s.D, 1), dy = random_values<T>(s.rows * s.F, 2);
    const auto weight = random_values<T>(s.F * s.D, 3);
    std::vector<T> y(dy.size()), dx(x.size());
    std::vector<float> dweight(weight.size(), 0.25f);
    const DeviceArray<T> x_(x), dy_(dy), weight_(weight), y_(y), dx_(dx);
    const DeviceArray<float> dweight_(dweight);
    const double rel = this->relative();
    this->cpu_->linear({shape, x.data(), weight.data(), y.data()});
    this->gpu_->linear({shape, x_, weight_, y_});
    expect_same(y_.values(), y, rel, 2e-6 * static_cast<double>(s.D));
    this->cpu_->linear_backward_input({shape, dy.data(), weight.data(), dx.data()});
    this->gpu_->linear_backward_input({shape, dy_, weight_, dx_});
    expect_same(dx_.values(), dx, rel, 2e-6 * static_cast<double>(s.F));
    for (const bool accumulate : {true, false}) {
      this->cpu_->linear_backward_weight({shape, dy.data(), x.data(), dweight.data(), accumulate});
      this->gpu_->linear_backward_weight({shape, dy_, x_, dweight_, accumulate});
      expect_same(dweight_.values(), dweight, 1e-5, 2e-6 * static_cast<double>(s.rows));
    }
  }
}

TYPED_TEST(CudaOpsTest, RotatesQueriesAndKeysAndBack) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven}) {
    this->begin(s);
    const int64_t stride = (s.H + 2 * s.K) * s.C;
    const auto x = random_values<T>(s.rows * s.D, 1), weight = random_values<T>(stride * s.D, 2);
    const auto positions = random_ids(s.rows, kPositions, 3);
    const DeviceArray<int32_t> positions_(positions);
    const DeviceArray<T> x_(x), weight_(weight);
    for (const bool given : {false, true}) {
      std::vector<T> y(static_cast<size_t>(s.rows * stride));
      const DeviceArray<T> y_(y);
      const RopeRows turned{stride, s.H + s.K, s.C, given ? positions.data() : nullptr};
      RopeRows turned_ = turned;
      turned_.positions = given ? positions_.data() : nullptr;
      this->cpu_->linear_with_rope({{s.rows, stride, s.D}, x.data(), weight.data(), y.data()},
                                   turned);
      this->gpu_->linear_with_rope({{s.rows, stride, s.D}, x_, weight_, y_}, turned_);
      const double rel = this->relative(), abs = this->absolute(static_cast<double>(s.D)) / 2;
      expect_same(y_.values(), y, rel, abs);
      this->cpu_->rope_backward({turned, s.rows, y.data()});
      this->gpu_->rope_backward({turned_, s.rows, y_});
      expect_same(y_.values(), y, rel, abs);
    }
  }
}

TYPED_TEST(CudaOpsTest, AttentionWithAndWithoutDocuments) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven}) {
    this->begin(s);
    const AttentionShape shape{1, s.rows, s.H, s.K, s.C};
    const auto qkv = random_values<T>(s.rows * shape.row_stride(), 1);
    const auto dout = random_values<T>(s.rows * s.H * s.C, 2);
    std::vector<int32_t> starts(static_cast<size_t>(s.rows));
    for (int64_t t = 0; t < s.rows; ++t) {
      starts[static_cast<size_t>(t)] = static_cast<int32_t>(t < 5    ? 0
                                                            : t < 6  ? 5
                                                            : t < 30 ? 6
                                                                     : 30);
    }
    const DeviceArray<int32_t> starts_(starts);
    const DeviceArray<T> qkv_(qkv), dout_(dout);
    for (const bool documents : {false, true}) {
      std::vector<T> out(dout.size()), dqkv(qkv.size());
      std::vector<float> lse(static_cast<size_t>(s.rows * s.H));
      const DeviceArray<T> out_(out), dqkv_(dqkv);
      const DeviceArray<float> lse_(lse);
      const int32_t* from = documents ? starts.data() : nullptr;
      const int32_t* from_ = documents ? starts_.data() : nullptr;
      this->cpu_->attention({shape, qkv.data(), from, out.data(), lse.data()});
      this->gpu_->attention({shape, qkv_, from_, out_, lse_});
      const double rel = this->relative(), abs = this->absolute(1);
      expect_same(out_.values(), out, rel, abs);
      expect_same(lse_.values(), lse, 1e-3, this->absolute(1));
      this->cpu_->attention_backward(
          {shape, qkv.data(), out.data(), lse.data(), from, dout.data(), dqkv.data()});
      this->gpu_->attention_backward({shape, qkv_, out_, lse_, from_, dout_, dqkv_});
      expect_same(dqkv_.values(), dqkv, 2 * rel, 4 * abs);
    }
  }
}

TYPED_TEST(CudaOpsTest, SwigluAndResiduals) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven}) {
    this->begin(s);
    auto gate_up = random_values<T>(s.rows * 2 * s.F, 1, 3.0);
    auto dout = random_values<T>(s.rows * s.F, 2);
    std::vector<T> out(dout.size());
    const DeviceArray<T> gate_up_(gate_up), dout_(dout), out_(out);
    this->cpu_->swiglu({gate_up.data(), s.rows, s.F, out.data()});
    this->gpu_->swiglu({gate_up_, s.rows, s.F, out_});
    expect_same(out_.values(), out, this->relative(), 1e-6);
    this->cpu_->swiglu_backward({gate_up.data(), dout.data(), s.rows, s.F});
    this->gpu_->swiglu_backward({gate_up_, dout_, s.rows, s.F});
    expect_same(gate_up_.values(), gate_up, this->relative(), 1e-6);
    EXPECT_TRUE(same_bits(dout, out));
    EXPECT_TRUE(same_bits(dout_.values(), out_.values()));

    const int64_t odd = s.rows * s.F - 3;  // and from a place between vectors
    this->cpu_->add(dout.data() + 1, out.data() + 1, out.data() + 1, odd);
    const DeviceArray<T> again_(out_.values());
    this->gpu_->add(dout_ + 1, again_ + 1, again_ + 1, odd);
    expect_same(again_.values(), out, this->relative(), 1e-5);
    this->gpu_->copy(again_, out_, s.rows * s.F);
    EXPECT_TRUE(same_bits(out_.values(), again_.values()));
    this->gpu_->clear(out_, s.rows * s.F - 1);
    std::vector<T> cleared(out.size(), T(0.0f));
    cleared.back() = again_.values().back();
    EXPECT_TRUE(same_bits(out_.values(), cleared));
  }
}

TYPED_TEST(CudaOpsTest, EmbeddingWithManyOfOneToken) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven}) {
    this->begin(s);
    auto tokens = random_ids(s.rows, s.V, 1);
    std::fill(tokens.begin() + 3, tokens.begin() + 20, 7);
    const auto weight = random_values<T>(s.V * s.D, 2), dout = random_values<T>(s.rows * s.D, 3);
    std::vector<T> out(dout.size());
    std::vector<float> dweight(weight.size(), 0.5f);
    const DeviceArray<int32_t> tokens_(tokens);
    const DeviceArray<T> weight_(weight), dout_(dout), out_(out);
    const DeviceArray<float> dweight_(dweight);
    this->cpu_->embedding({tokens.data(), weight.data(), s.rows, s.D, out.data()});
    this->gpu_->embedding({tokens_, weight_, s.rows, s.D, out_});
    EXPECT_TRUE(same_bits(out_.values(), out));
    this->cpu_->embedding_backward({tokens.data(), dout.data(), s.rows, s.D, dweight.data()});
    this->gpu_->embedding_backward({tokens_, dout_, s.rows, s.D, dweight_});
    // Both add the rows of a token in their order.
    EXPECT_TRUE(same_bits(dweight_.values(), dweight));
  }
}

TYPED_TEST(CudaOpsTest, HeadWithLossByChunks) {
  using T = TypeParam;
  for (const Sizes& s : {kOdd, kEven}) {
    this->begin(s);
    const HeadShape shape{s.rows, s.D, s.V};
    const auto x = random_values<T>(s.rows * s.D, 1), weight = random_values<T>(s.V * s.D, 2, 0.1);
    auto targets = random_ids(s.rows, s.V, 3);
    targets[4] = kNoTarget;
    std::vector<T> dx(x.size());
    std::vector<float> dweight(weight.size(), 0.125f), logits(static_cast<size_t>(3 * s.V));
    const DeviceArray<int32_t> targets_(targets);
    const DeviceArray<T> x_(x), weight_(weight), dx_(dx);
    const DeviceArray<float> dweight_(dweight), logits_(logits);
    // Logits are of size one, rounded to T: of bf16 a row's loss errs by some 2^-9.
    const double loss_error =
        (dtype_of<T>() == DType::kF32 ? 1e-5 : 5e-3) * static_cast<double>(s.rows);
    const double forward =
        this->cpu_->head_loss({shape, {x.data(), weight.data(), targets.data()}});
    EXPECT_NEAR(this->gpu_->head_loss({shape, {x_, weight_, targets_}}), forward, loss_error);
    for (const bool accumulate : {true, false}) {
      const double loss = this->cpu_->head_loss_backward({shape,
                                                          {x.data(), weight.data(), targets.data()},
                                                          0.5f,
                                                          dx.data(),
                                                          dweight.data(),
                                                          accumulate});
      EXPECT_NEAR(this->gpu_->head_loss_backward(
                      {shape, {x_, weight_, targets_}, 0.5f, dx_, dweight_, accumulate}),
                  loss, loss_error);
      expect_same(dx_.values(), dx, 2 * this->relative(), this->absolute(1) / 5);
      expect_same(dweight_.values(), dweight, 2 * this->relative(), this->absolute(1) / 2);
    }
    this->cpu_->head_logits({{3, s.D, s.V}, x.data(), weight.data(), logits.data()});
    this->gpu_->head_logits({{3, s.D, s.V}, x_, weight_, logits_});
    expect_same(logits_.values(), logits, 1e-4, 1e-4);
  }
}

TYPED_TEST(CudaOpsTest, AttentionOverACache) {
  using T = TypeParam;
  const Sizes s = kEven;
  this->begin(s);
  constexpr int64_t kCapacity = 256, kSequences = 3;
  const AttentionShape shape{1, s.rows, s.H, s.K, s.C};
  const auto qkv = random_values<T>(s.rows * shape.row_stride(), 1);
  std::vector<int32_t> sequences(static_cast<size_t>(s.rows), 1), positions(sequences.size());
  for (size_t row = 0; row < positions.size(); ++row) positions[row] = static_cast<int32_t>(row);
  sequences[5] = kNoSequence;
  std::vector<T> keys(static_cast<size_t>(kSequences * s.K * kCapacity * s.C)), values = keys;
  std::vector<T> out(static_cast<size_t>(s.rows * s.H * s.C));
  const DeviceArray<int32_t> sequences_(sequences), positions_(positions);
  const DeviceArray<T> qkv_(qkv), keys_(keys), values_(values), out_(out);
  const AttentionDecode<T> host{shape,
                                qkv.data(),
                                {s.rows, sequences.data(), positions.data()},
                                {keys.data(), values.data(), kCapacity},
                                out.data()};
  const AttentionDecode<T> device{
      shape, qkv_, {s.rows, sequences_, positions_}, {keys_, values_, kCapacity}, out_};
  this->cpu_->cache_keys_values({shape, host.qkv, host.rows, host.cache});
  this->gpu_->cache_keys_values({shape, device.qkv, device.rows, device.cache});
  EXPECT_TRUE(same_bits(keys_.values(), keys));
  EXPECT_TRUE(same_bits(values_.values(), values));
  this->cpu_->attention_decode(host);
  this->gpu_->attention_decode(device);
  expect_same(out_.values(), out, this->relative(), this->absolute(1));
}

TYPED_TEST(CudaOpsTest, AttentionOfALaterPieceOfAText) {
  using T = TypeParam;
  const Sizes s = kEven;
  this->begin(s);
  constexpr int64_t kCapacity = 256, kFirst = kAttentionPieceRows, kPiece = 37;
  const AttentionShape shape{1, kFirst + kPiece, s.H, s.K, s.C};
  const auto qkv = random_values<T>(kPiece * shape.row_stride(), 1);
  auto keys = random_values<T>(2 * s.K * kCapacity * s.C, 2);
  auto values = random_values<T>(2 * s.K * kCapacity * s.C, 3);
  std::vector<T> out(static_cast<size_t>(kPiece * s.H * s.C));
  std::vector<float> lse(static_cast<size_t>(kPiece * s.H));
  const DeviceArray<T> qkv_(qkv), keys_(keys), values_(values), out_(out);
  const DeviceArray<float> lse_(lse);
  this->cpu_->attention_prefix({shape,
                                kFirst,
                                qkv.data(),
                                1,
                                {keys.data(), values.data(), kCapacity},
                                out.data(),
                                lse.data()});
  this->gpu_->attention_prefix({shape, kFirst, qkv_, 1, {keys_, values_, kCapacity}, out_, lse_});
  expect_same(out_.values(), out, this->relative(), this->absolute(1));
  expect_same(lse_.values(), lse, 1e-3, this->absolute(1));
}

template <typename T>
AdamWSpan<T> span_of(T* weight, uint16_t* remainder, float* m, float* v, const float* gradient,
                     size_t count) {
  return {weight, remainder, m, v, gradient, static_cast<int64_t>(count)};
}

// The same operations in the same order: the same bits.
TYPED_TEST(CudaOpsTest, AdamWHasTheBitsOfTheCpus) {
  using T = TypeParam;
  constexpr int64_t kCount = 5003;
  auto weight = random_values<T>(kCount, 1);
  std::vector<uint16_t> remainder(kCount, 0);
  std::vector<float> m(kCount, 0.0f), v(kCount, 0.0f);
  const auto gradient = random_values<float>(kCount, 2, 0.1);
  const DeviceArray<T> weight_(weight);
  const DeviceArray<uint16_t> remainder_(remainder);
  const DeviceArray<float> m_(m), v_(v), gradient_(gradient);
  const std::unique_ptr<OptimizerOps> cpu = make_cpu_optimizer_ops();
  for (int t = 1; t <= 3; ++t) {
    const AdamWStep step{.learning_rate = 1e-2,
                         .beta1 = 0.9,
                         .beta2 = 0.95,
                         .eps = 1e-8,
                         .weight_decay = 0.1,
                         .bias_correction1 = 1 - std::pow(0.9, t),
                         .bias_correction2 = 1 - std::pow(0.95, t),
                         .gradient_scale = 0.7f};
    cpu->adamw(span_of(weight.data(), remainder.data(), m.data(), v.data(), gradient.data(),
                       weight.size()),
               step);
    cuda::adamw(span_of<T>(weight_, remainder_, m_, v_, gradient_, weight.size()), step, nullptr);
  }
  EXPECT_TRUE(same_bits(weight_.values(), weight));
  EXPECT_TRUE(same_bits(m_.values(), m));
  EXPECT_TRUE(same_bits(v_.values(), v));
  EXPECT_TRUE(same_bits(remainder_.values(), remainder));  // in f32 as it was
}

// Rows with a gradient, with one in an earlier step, and with none, from the middle of a row on.
TYPED_TEST(CudaOpsTest, AdamWOfRowsHasTheBitsOfTheCpus) {
  using T = TypeParam;
  constexpr int64_t kRows = 70, kSize = 6, kBegin = 9, kEnd = kRows * kSize - 2;
  const RowGradientsShape shape{kRows, kSize, 8, 4};
  Arena memory(shape.bytes(), "rows");
  RowGradients gradient(shape, memory);
  auto weight = random_values<T>(kEnd - kBegin, 1);
  std::vector<uint16_t> remainder(weight.size(), 0);
  std::vector<float> m(weight.size(), 0.0f), v(weight.size(), 0.0f);
  std::vector<uint64_t> had(2, 0);
  const DeviceArray<T> weight_(weight);
  const DeviceArray<uint16_t> remainder_(remainder);
  const DeviceArray<float> m_(m), v_(v);
  const std::unique_ptr<OptimizerOps> cpu = make_cpu_optimizer_ops();
  AdamWStep step{.learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.5f};
  for (const auto& ids :
       {std::vector<int32_t>{1, 40, 69, 66}, std::vector<int32_t>{2, 40, 3, 64}}) {
    gradient.clear();
    gradient.slots(ids);
    const auto values = random_values<float>(gradient.used_rows() * kSize, 7);
    std::copy(values.begin(), values.end(), gradient.values());
    std::vector<int32_t> place(kRows, 0);
    for (int64_t i = 0; i < gradient.used_rows(); ++i) {
      place[static_cast<size_t>(gradient.ids()[static_cast<size_t>(i)])] =
          static_cast<int32_t>(i + 1);
    }
    const DeviceArray<int32_t> place_(place);
    const DeviceArray<float> values_(values);
    std::vector<uint8_t> had_bytes(kRows);  // before this step
    for (size_t row = 0; row < kRows; ++row) had_bytes[row] = had[row / 64] >> (row % 64) & 1;
    const DeviceArray<uint8_t> had_(had_bytes);
    cpu->adamw_rows(AdamWRows<T>{.begin = kBegin,
                                 .end = kEnd,
                                 .weight = weight.data(),
                                 .remainder = remainder.data(),
                                 .m = m.data(),
                                 .v = v.data(),
                                 .had_gradient = had.data()},
                    gradient, step);
    cuda::adamw_rows(cuda::AdamWRowsOnDevice<T>{.begin = kBegin,
                                                .end = kEnd,
                                                .row_size = kSize,
                                                .weight = weight_,
                                                .remainder = remainder_,
                                                .m = m_,
                                                .v = v_,
                                                .had_gradient = had_,
                                                .place = place_,
                                                .values = values_},
                     step, nullptr);
    EXPECT_TRUE(same_bits(weight_.values(), weight));
    EXPECT_TRUE(same_bits(m_.values(), m));
    EXPECT_TRUE(same_bits(v_.values(), v));
    EXPECT_TRUE(same_bits(remainder_.values(), remainder));
  }
}

double sum_of_squares_on_device(const float* x, int64_t count) {
  const DeviceArray<double> sum_(std::vector<double>(1, -1.0)),
      partials_(
          std::vector<double>(static_cast<size_t>(cuda::sum_of_squares_partials(count)), 0.0));
  cuda::sum_of_squares(x, count, partials_, sum_, nullptr);
  return sum_.values()[0];
}

TEST(CudaSumOfSquares, IsTheCpus) {
  if (!has_gpu()) GTEST_SKIP() << "no CUDA device";
  const std::unique_ptr<OptimizerOps> cpu = make_cpu_optimizer_ops();
  for (const int64_t count : {0, 1, 1000, 65536, 300001}) {
    const auto x = random_values<float>(count, 1);
    double expected = 0;
    cpu->sum_of_squares(x.data(), count, &expected);
    EXPECT_NEAR(sum_of_squares_on_device(DeviceArray<float>(x), count), expected, 1e-12 * expected);
  }
}

// Whoever adds up 2^k blocks in their place, alone or within more of them, comes to the same bits:
// so ranks that each have a part agree with one that has all.
TEST(CudaSumOfSquares, IsATreeOfBlocks) {
  if (!has_gpu()) GTEST_SKIP() << "no CUDA device";
  constexpr int64_t kCount = 5 * 65536 + 3 * kSumBlock + 77;
  const DeviceArray<float> x_(random_values<float>(kCount, 1));
  const double whole = sum_of_squares_on_device(x_, kCount);
  for (const int64_t blocks : {1, 4, 64, 128}) {
    PairwiseSum sum;
    const int64_t part = blocks * kSumBlock;
    for (int64_t at = 0; at < kCount; at += part) {
      sum.add(sum_of_squares_on_device(x_ + at, std::min(part, kCount - at)));
    }
    EXPECT_EQ(sum.total(), whole) << blocks;
  }
}

// Of models of many layers that are sharded.
TEST(CudaSumOfSquares, MoreThanTheDeviceHasRoomFor) {
  if (!has_gpu()) GTEST_SKIP() << "no CUDA device";
  constexpr int64_t kSums = 2 * kGpuMostSums + 3;
  cuda::CudaDevice device;
  const GpuOptimizerShape shape{.largest_sum = 4};
  const DeviceBuffer scratch(device, static_cast<size_t>(gpu_optimizer_bytes(shape)), "scratch");
  const std::unique_ptr<OptimizerOps> ops =
      cuda::make_cuda_optimizer_ops(shape, scratch.bytes(), device);
  std::vector<float> x(kSums);
  for (int64_t i = 0; i < kSums; ++i) x[static_cast<size_t>(i)] = static_cast<float>(i % 1000);
  const DeviceArray<float> x_(x);
  for (int round = 0; round < 2; ++round) {
    std::vector<double> sums(x.size(), -1.0);
    for (size_t i = 0; i < x.size(); ++i) ops->sum_of_squares(x_ + i, 1, &sums[i]);
    ops->wait();
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(sums[i], double{x[i]} * x[i]) << i;
  }
}

// Ranks have the same rows in different places.
TEST(CudaSumOfSquares, OfRowsDependsOnTheirOrderAlone) {
  if (!has_gpu()) GTEST_SKIP() << "no CUDA device";
  const std::unique_ptr<OptimizerOps> cpu = make_cpu_optimizer_ops();
  for (const int64_t size : {45, 2052}) {
    constexpr int64_t kRows = 21;
    const auto matrix = random_values<float>(kRows * size, 1);
    std::vector<int32_t> rows(kRows), turned(kRows);
    for (int32_t row = 0; row < kRows; ++row) {
      rows[static_cast<size_t>(row)] = row;
      turned[static_cast<size_t>(row)] = kRows - 1 - row;
    }
    std::vector<float> turned_matrix;
    for (const int32_t row : turned) {
      turned_matrix.insert(turned_matrix.end(), matrix.begin() + row * size,
                           matrix.begin() + (row + 1) * size);
    }
    const auto on_device = [&](const std::vector<float>& values,
                               const std::vector<int32_t>& order) {
      const DeviceArray<float> values_(values);
      const DeviceArray<int32_t> order_(order);
      const DeviceArray<double> sum_(std::vector<double>(1, -1.0)),
          partials_(std::vector<double>(kRows, 0.0));
      cuda::sum_of_squares_of_rows(values_, order_, kRows, size, partials_, sum_, nullptr);
      return sum_.values()[0];
    };
    const double sum = on_device(matrix, rows);
    EXPECT_EQ(on_device(turned_matrix, turned), sum);
    double expected = 0;
    cpu->sum_of_squares_of_rows(matrix.data(), rows, size, &expected);
    EXPECT_NEAR(sum, expected, 1e-12 * expected);
  }
}

}  // namespace
}  // namespace borealis
