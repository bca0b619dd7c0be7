// The kernels that make up a step's arithmetic: each as GFLOP/s and as a share of the GEMM rate,
// which is the best that oneDNN reaches on the workload's own products in the same process.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <new>
#include <vector>

#include "base/dtype.h"
#include "base/memory.h"
#include "base/random.h"
#include "kernels/attention.h"
#include "kernels/gemm_rate.h"
#include "kernels/head_loss.h"
#include "kernels/linear.h"
#include "workload.h"

namespace borealis {
namespace {

// Operands lie on cache lines, as a run's do.
template <typename T>
struct OnCacheLines {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  OnCacheLines() = default;
  template <typename U>
  OnCacheLines(const OnCacheLines<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  bool operator==(const OnCacheLines&) const = default;
};
template <typename T>
using Values = std::vector<T, OnCacheLines<T>>;

Values<bf16> values(int64_t size, uint64_t stream) {
  const RandomStream random(1, stream);
  Values<bf16> result(static_cast<size_t>(size));
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = bf16(static_cast<float>(random.uniform(i % 4096) - 0.5));
  }
  return result;
}

// Best over all products, forward and backward.
double gemm_rate(const Workload& w) {
  const LinearShape shapes[] = {w.qkv(), w.gate_up(), w.down(), {w.rows(), w.vocab, w.hidden}};
  const ProductMode mode = product_mode(DType::kBF16);
  const size_t bytes = gemm_operand_bytes(mode, shapes);
  const PageBuffer memory(bytes, "the GEMM measurement");
  return measure_gemm_rate(mode, shapes, 0.4, {memory.data(), bytes}).flops_per_s;
}

void report(benchmark::State& state, double flops, double rate) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_gemm"] =
      benchmark::Counter(flops / rate, benchmark::Counter::kIsIterationInvariantRate);
}

// Causal FLOPs only: two products over half of the square forward, five backward.
double attention_flops(const AttentionShape& s, int products) {
  return 2.0 * products * static_cast<double>(s.batch_size * s.num_heads * s.head_dim) *
         static_cast<double>(s.seq_length) * static_cast<double>(s.seq_length + 1) / 2;
}

void attention(benchmark::State& state, const Workload& w, bool backward) {
  const AttentionShape s = w.attention();
  const int threads = omp_get_max_threads();
  const auto qkv = values(w.rows() * s.row_stride(), 1), dout = values(w.rows() * w.hidden, 2);
  Values<bf16> out(dout.size()), dqkv(qkv.size());
  Values<float> lse(static_cast<size_t>(w.rows() * w.heads));
  Values<float> scratch(
      static_cast<size_t>(std::max(attention_forward_scratch_floats<bf16>(s, threads),
                                   attention_backward_scratch_floats<bf16>(s, threads))));
  const double rate = gemm_rate(w);
  attention_forward(s, qkv.data(), out.data(), lse.data(), scratch.data(), threads);
  for ([[maybe_unused]] auto _ : state) {
    if (backward) {
      attention_backward(s, qkv.data(), out.data(), dout.data(), lse.data(), dqkv.data(),
                         scratch.data(), threads);
    } else {
      attention_forward(s, qkv.data(), out.data(), lse.data(), scratch.data(), threads);
    }
  }
  report(state, attention_flops(s, backward ? 5 : 2), rate);
}

enum class Product { kForward, kBackwardData, kBackwardWeight };

void linear(benchmark::State& state, const Workload& w, Product product) {
  const LinearShape s = w.gate_up();
  const ProductMode mode = product_mode(DType::kBF16);
  const auto x = values(s.rows * s.in_features, 1),
             weight = values(s.out_features * s.in_features, 2);
  auto y = values(s.rows * s.out_features, 3);
  Values<bf16> dx(x.size());
  Values<float> dweight(weight.size());
  Values<float> scratch(static_cast<size_t>(linear_scratch_floats(mode, s)));
  LinearEngine engine(mode, scratch.data(), omp_get_max_threads());
  const double rate = gemm_rate(w);
  for ([[maybe_unused]] auto _ : state) {
    if (product == Product::kForward) engine.forward(x.data(), weight.data(), y.data(), s);
    if (product == Product::kBackwardData)
      engine.backward_data(y.data(), weight.data(), dx.data(), s);
    if (product == Product::kBackwardWeight) {
      engine.backward_weight(y.data(), x.data(), dweight.data(), false, s);
    }
  }
  report(state,
         2.0 * static_cast<double>(s.rows) * static_cast<double>(s.out_features * s.in_features),
         rate);
}

// Seconds of the head's three products alone, whole and without a loss: the best of three.
double head_products_s(LinearEngine& engine, const LinearShape& s, const Values<bf16>& x,
                       const Values<bf16>& weight, Values<bf16>& dx, Values<float>& dweight) {
  Values<bf16> logits(static_cast<size_t>(s.rows * s.out_features));
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    engine.forward(x.data(), weight.data(), logits.data(), s);
    engine.backward_data(logits.data(), weight.data(), dx.data(), s);
    engine.backward_weight(logits.data(), x.data(), dweight.data(), false, s);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

void head_loss(benchmark::State& state, const Workload& w) {
  const HeadShape s = w.head();
  const ProductMode mode = product_mode(DType::kBF16);
  const auto x = values(s.rows * s.hidden_size, 1),
             weight = values(s.vocab_size * s.hidden_size, 2);
  std::vector<int32_t> targets(static_cast<size_t>(s.rows), 7);
  Values<bf16> dx(x.size());
  Values<float> dweight(weight.size()), scratch(static_cast<size_t>(head_scratch_floats(mode, s)));
  const LinearShape products{s.rows, s.vocab_size, s.hidden_size};
  Values<float> product_scratch(static_cast<size_t>(linear_scratch_floats(mode, products)));
  LinearEngine engine(mode, product_scratch.data(), omp_get_max_threads());
  const double rate = gemm_rate(w);
  const double alone_s = head_products_s(engine, products, x, weight, dx, dweight);
  for ([[maybe_unused]] auto _ : state) {
    head_loss_forward_backward(engine, s, {x.data(), weight.data(), targets.data()}, 1e-3f,
                               dx.data(), dweight.data(), false, scratch.data());
  }
  report(state,
         6.0 * static_cast<double>(s.rows) * static_cast<double>(s.vocab_size * s.hidden_size),
         rate);
  // Time of head and loss over that of its products alone.
  state.counters["of_products"] = benchmark::Counter(
      alone_s, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

[[maybe_unused]] const bool kRegistered[] = {
    register_for_all_workloads(
        "attention_forward",
        [](benchmark::State& state, const Workload& w) { attention(state, w, false); }),
    register_for_all_workloads(
        "attention_backward",
        [](benchmark::State& state, const Workload& w) { attention(state, w, true); }),
    register_for_all_workloads(
        "gate_up_forward",
        [](benchmark::State& state, const Workload& w) { linear(state, w, Product::kForward); }),
    register_for_all_workloads("gate_up_backward_data",
                               [](benchmark::State& state, const Workload& w) {
                                 linear(state, w, Product::kBackwardData);
                               }),
    register_for_all_workloads("gate_up_backward_weight",
                               [](benchmark::State& state, const Workload& w) {
                                 linear(state, w, Product::kBackwardWeight);
                               }),
    register_for_all_workloads("head_loss", head_loss)};

}  // namespace
}  // namespace borealis
