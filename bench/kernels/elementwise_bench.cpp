// The memory-bound kernels by the bytes that they must move, as GB/s and as a share of a triad
// (a = b + s c, 12 bytes an element) measured in the same process. Kernels over parameters take a
// size far beyond the caches whatever the workload; those over tokens take the workload's, so on
// small workloads they may exceed memory bandwidth, as they may in a training step.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/memory.h"
#include "base/random.h"
#include "kernels/adamw.h"
#include "kernels/cpu_isa.h"
#include "kernels/cross_entropy.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/grad_norm.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "kernels/triad.h"
#include "workload.h"

namespace borealis {
namespace {

constexpr int64_t kLogitRows = 512;
constexpr float kEps = 1e-5f;

// n values of N(0, 1) in pages that all threads touched.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t n) : pages_(static_cast<size_t>(n) * sizeof(T), "benchmark") {
    const RandomStream stream(1, 0);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<uint64_t>(i % 4096);
      data()[i] = T(static_cast<float>(stream.normal(at)));
    }
  }
  T* data() const { return reinterpret_cast<T*>(pages_.data()); }

 private:
  PageBuffer pages_;
};

// Of a few layers, 32 Mi at most: beyond the caches but for the smoke run.
int64_t parameters(const Workload& w) { return std::min(int64_t{1} << 25, 64 * w.hidden * w.ffn); }

double seconds_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Measured once.
double triad_bytes_per_s() {
  static const double rate = measure_triad_bytes_per_s();
  return rate;
}

// Runs body repeatedly and reports what it moves against the triad.
void measure(benchmark::State& state, int64_t bytes, const auto& body) {
  const double triad = triad_bytes_per_s();
  body();
  double best = INFINITY;
  for (auto _ : state) best = std::min(best, seconds_of(body));
  const auto moved = static_cast<double>(bytes);
  state.SetBytesProcessed(state.iterations() * bytes);
  state.counters["best_GB_per_s"] = moved / best / 1e9;
  state.counters["share_of_triad"] = moved / best / triad;
  state.SetLabel(cpu_isa_description());
}

void triad(benchmark::State& state, const Workload&) {
  for (auto _ : state) benchmark::DoNotOptimize(triad_bytes_per_s());
  state.counters["best_GB_per_s"] = triad_bytes_per_s() / 1e9;
}

template <typename T>
void rms_norm_forward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<T> x(w.rows() * w.hidden), weight(w.hidden), y(w.rows() * w.hidden);
  const Buffer<float> inv_rms(w.rows());
  measure(state, w.rows() * w.hidden * 2 * int64_t{sizeof(T)}, [&] {
    rms_norm_forward(x.data(), weight.data(), kEps, w.rows(), w.hidden, y.data(), inv_rms.data());
  });
}

template <typename T>
void add_rms_norm_forward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<T> x(w.rows() * w.hidden), delta(w.rows() * w.hidden), weight(w.hidden),
      sum(w.rows() * w.hidden), y(w.rows() * w.hidden);
  const Buffer<float> inv_rms(w.rows());
  measure(state, w.rows() * w.hidden * 4 * int64_t{sizeof(T)}, [&] {
    add_rms_norm_forward(x.data(), delta.data(), weight.data(), kEps, w.rows(), w.hidden,
                         sum.data(), y.data(), inv_rms.data());
  });
}

template <typename T>
void rms_norm_backward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<T> dy(w.rows() * w.hidden), x(w.rows() * w.hidden), weight(w.hidden),
      dx(w.rows() * w.hidden), y(w.rows() * w.hidden);
  const Buffer<float> inv_rms(w.rows()), dweight(w.hidden),
      scratch(rms_norm_backward_scratch_floats(w.hidden));
  rms_norm_forward(x.data(), weight.data(), kEps, w.rows(), w.hidden, y.data(), inv_rms.data());
  measure(state, w.rows() * w.hidden * 4 * int64_t{sizeof(T)}, [&] {
    rms_norm_backward(dy.data(), x.data(), weight.data(), inv_rms.data(), w.rows(), w.hidden,
                      dx.data(), dweight.data(), scratch.data());
  });
}

template <typename T>
void rope_forward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<T> qkv(w.rows() * w.qkv_heads() * w.head_dim());
  const auto table = make_rope_table(50000, nullptr, w.head_dim(), w.rows(), dtype_of<T>());
  const int64_t turned = w.heads + w.kv_heads;
  measure(state,
          w.rows() * turned * w.head_dim() * 2 * int64_t{sizeof(T)} + w.rows() * w.head_dim() * 4,
          [&] {
            rope_forward(qkv.data(), w.rows(), w.qkv_heads() * w.head_dim(), turned, w.head_dim(),
                         table);
          });
}

template <typename T>
void swiglu_forward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<T> gate_up(w.rows() * 2 * w.ffn), out(w.rows() * w.ffn);
  measure(state, w.rows() * w.ffn * 3 * int64_t{sizeof(T)},
          [&] { swiglu_forward(gate_up.data(), w.rows(), w.ffn, out.data()); });
}

// Runs in place, so from the second pass on its input is its own output; the work is the same.
template <typename T>
void swiglu_backward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<T> gate_up(w.rows() * 2 * w.ffn), dout(w.rows() * w.ffn);
  measure(state, w.rows() * w.ffn * 6 * int64_t{sizeof(T)},
          [&] { swiglu_backward(gate_up.data(), dout.data(), w.rows(), w.ffn); });
}

void adamw_bench(benchmark::State& state, const Workload& w) {
  const Buffer<bf16> weight(parameters(w));
  const Buffer<uint16_t> remainder(parameters(w));
  const Buffer<float> m(parameters(w)), v(parameters(w)), gradient(parameters(w));
  fill_zero(v.data(), parameters(w) * sizeof(float));
  const AdamWStep step{.learning_rate = 1e-4, .weight_decay = 0.1};
  measure(state, parameters(w) * 28, [&] {
    adamw_update(weight.data(), remainder.data(), m.data(), v.data(), gradient.data(),
                 parameters(w), step);
  });
}

// The update behind a save: of one place's state into the other's, there and back.
void adamw_move_bench(benchmark::State& state, const Workload& w) {
  const Buffer<bf16> weight(parameters(w));
  const Buffer<uint16_t> remainder(parameters(w)), other_remainder(parameters(w));
  const Buffer<float> m(parameters(w)), v(parameters(w)), gradient(parameters(w));
  const Buffer<float> other_m(parameters(w)), other_v(parameters(w));
  fill_zero(v.data(), parameters(w) * sizeof(float));
  AdamWState from{remainder.data(), m.data(), v.data()};
  AdamWState to{other_remainder.data(), other_m.data(), other_v.data()};
  const AdamWStep step{.learning_rate = 1e-4, .weight_decay = 0.1};
  measure(state, parameters(w) * 28, [&] {
    adamw_move(weight.data(), from, to, gradient.data(), parameters(w), step);
    std::swap(from, to);
  });
}

void sum_of_squares_bench(benchmark::State& state, const Workload& w) {
  const Buffer<float> x(parameters(w));
  measure(state, parameters(w) * 4,
          [&] { benchmark::DoNotOptimize(sum_of_squares(x.data(), parameters(w))); });
}

void online_softmax_bench(benchmark::State& state, const Workload& w) {
  const Buffer<float> logits(kLogitRows * w.vocab);
  std::vector<float> max(kLogitRows, -std::numeric_limits<float>::infinity()), sum(kLogitRows);
  measure(state, kLogitRows * w.vocab * 4, [&] {
    online_softmax_update(logits.data(), kLogitRows, w.vocab, w.vocab, max.data(), sum.data());
  });
}

void cross_entropy_gradient_bench(benchmark::State& state, const Workload& w) {
  const Buffer<float> logits(kLogitRows * w.vocab);
  const std::vector<float> max(kLogitRows, 0.0f), sum(kLogitRows, 1000.0f);
  const std::vector<int32_t> targets(kLogitRows, 5);
  measure(state, kLogitRows * w.vocab * 8, [&] {
    cross_entropy_gradient(logits.data(), kLogitRows, w.vocab, w.vocab, max.data(), sum.data(),
                           targets.data(), 0, 1.0f);
  });
}

void embedding_backward_bench(benchmark::State& state, const Workload& w) {
  const Buffer<bf16> dout(w.rows() * w.hidden);
  const Buffer<float> dweight(w.vocab * w.hidden);
  std::vector<int32_t> tokens;
  const RandomStream stream(3, 0);
  for (uint64_t r = 0; r < static_cast<uint64_t>(w.rows()); ++r)
    tokens.push_back(static_cast<int32_t>(stream.below(r, w.vocab)));
  measure(state, w.rows() * w.hidden * 10, [&] {
    embedding_backward(tokens.data(), dout.data(), w.rows(), w.hidden, dweight.data());
  });
}

void add_bench(benchmark::State& state, const Workload& w) {
  const Buffer<bf16> a(parameters(w)), b(parameters(w));
  measure(state, parameters(w) * 6, [&] { add(a.data(), b.data(), b.data(), parameters(w)); });
}

void convert_to_bf16_bench(benchmark::State& state, const Workload& w) {
  const Buffer<float> from(parameters(w));
  const Buffer<bf16> to(parameters(w));
  measure(state, parameters(w) * 6, [&] { convert(from.data(), to.data(), parameters(w)); });
}

void convert_to_f32_bench(benchmark::State& state, const Workload& w) {
  const Buffer<bf16> from(parameters(w));
  const Buffer<float> to(parameters(w));
  measure(state, parameters(w) * 6, [&] { convert(from.data(), to.data(), parameters(w)); });
}

[[maybe_unused]] const bool kRegistered[] = {
    register_for_all_workloads("triad", triad),
    register_for_all_workloads("rms_norm_forward", rms_norm_forward_bench<bf16>),
    register_for_all_workloads("rms_norm_forward_f32", rms_norm_forward_bench<float>),
    register_for_all_workloads("add_rms_norm_forward", add_rms_norm_forward_bench<bf16>),
    register_for_all_workloads("rms_norm_backward", rms_norm_backward_bench<bf16>),
    register_for_all_workloads("rms_norm_backward_f32", rms_norm_backward_bench<float>),
    register_for_all_workloads("rope_forward", rope_forward_bench<bf16>),
    register_for_all_workloads("swiglu_forward", swiglu_forward_bench<bf16>),
    register_for_all_workloads("swiglu_forward_f32", swiglu_forward_bench<float>),
    register_for_all_workloads("swiglu_backward", swiglu_backward_bench<bf16>),
    register_for_all_workloads("adamw", adamw_bench),
    register_for_all_workloads("adamw_move", adamw_move_bench),
    register_for_all_workloads("sum_of_squares", sum_of_squares_bench),
    register_for_all_workloads("online_softmax", online_softmax_bench),
    register_for_all_workloads("cross_entropy_gradient", cross_entropy_gradient_bench),
    register_for_all_workloads("embedding_backward", embedding_backward_bench),
    register_for_all_workloads("add", add_bench),
    register_for_all_workloads("convert_to_bf16", convert_to_bf16_bench),
    register_for_all_workloads("convert_to_f32", convert_to_f32_bench)};

}  // namespace
}  // namespace borealis
