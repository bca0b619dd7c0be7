// The memory-bound kernels by the bytes that they must move, as GB/s and as a share of a triad
// (a = b + s c, 12 bytes an element) measured in the same process. Sizes are far beyond the caches.
//   T tokens, D hidden, F intermediate, C head dim, V vocabulary.
#include <benchmark/benchmark.h>

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

namespace borealis {
namespace {

constexpr int64_t kT = 16384, kD = 1024, kF = 2816, kC = 64, kQueryHeads = 16, kHeads = 24;
constexpr int64_t kV = 32000, kLogitRows = 512, kParameters = int64_t{1} << 24;
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

double seconds_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Best of a few passes; the machine's rate, measured once.
double triad_bytes_per_s() {
  static const double rate = [] {
    const Buffer<float> a(kParameters), b(kParameters), c(kParameters);
    float *out = a.data(), *first = b.data(), *second = c.data();
    double best = INFINITY;
    for (int pass = 0; pass < 30; ++pass) {
      best = std::min(best, seconds_of([&] {
#pragma omp parallel for simd schedule(static)
                        for (int64_t i = 0; i < kParameters; ++i)
                          out[i] = first[i] + 0.5f * second[i];
                      }));
    }
    return 12.0 * static_cast<double>(kParameters) / best;
  }();
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

void triad(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(triad_bytes_per_s());
  state.counters["best_GB_per_s"] = triad_bytes_per_s() / 1e9;
}
BENCHMARK(triad)->Iterations(1);

template <typename T>
void rms_norm_forward_bench(benchmark::State& state) {
  const Buffer<T> x(kT * kD), weight(kD), y(kT * kD);
  const Buffer<float> inv_rms(kT);
  measure(state, kT * kD * 2 * int64_t{sizeof(T)}, [&] {
    rms_norm_forward(x.data(), weight.data(), kEps, kT, kD, y.data(), inv_rms.data());
  });
}
BENCHMARK(rms_norm_forward_bench<bf16>);
BENCHMARK(rms_norm_forward_bench<float>);

template <typename T>
void add_rms_norm_forward_bench(benchmark::State& state) {
  const Buffer<T> x(kT * kD), delta(kT * kD), weight(kD), sum(kT * kD), y(kT * kD);
  const Buffer<float> inv_rms(kT);
  measure(state, kT * kD * 4 * int64_t{sizeof(T)}, [&] {
    add_rms_norm_forward(x.data(), delta.data(), weight.data(), kEps, kT, kD, sum.data(), y.data(),
                         inv_rms.data());
  });
}
BENCHMARK(add_rms_norm_forward_bench<bf16>);

template <typename T>
void rms_norm_backward_bench(benchmark::State& state) {
  const Buffer<T> dy(kT * kD), x(kT * kD), weight(kD), dx(kT * kD), y(kT * kD);
  const Buffer<float> inv_rms(kT), dweight(kD), scratch(rms_norm_backward_scratch_floats(kD));
  rms_norm_forward(x.data(), weight.data(), kEps, kT, kD, y.data(), inv_rms.data());
  measure(state, kT * kD * 4 * int64_t{sizeof(T)}, [&] {
    rms_norm_backward(dy.data(), x.data(), weight.data(), inv_rms.data(), kT, kD, dx.data(),
                      dweight.data(), scratch.data());
  });
}
BENCHMARK(rms_norm_backward_bench<bf16>);
BENCHMARK(rms_norm_backward_bench<float>);

template <typename T>
void rope_forward_bench(benchmark::State& state) {
  const Buffer<T> qkv(kT * kHeads * kC);
  const auto table = make_rope_table(50000, nullptr, kC, kT, dtype_of<T>());
  constexpr int64_t kTurned = kQueryHeads + (kHeads - kQueryHeads) / 2;  // queries and keys
  measure(state, kT * kTurned * kC * 2 * int64_t{sizeof(T)} + kT * kC * 4,
          [&] { rope_forward(qkv.data(), kT, kHeads * kC, kTurned, kC, table); });
}
BENCHMARK(rope_forward_bench<bf16>);

template <typename T>
void swiglu_forward_bench(benchmark::State& state) {
  const Buffer<T> gate_up(kT * 2 * kF), out(kT * kF);
  measure(state, kT * kF * 3 * int64_t{sizeof(T)},
          [&] { swiglu_forward(gate_up.data(), kT, kF, out.data()); });
}
BENCHMARK(swiglu_forward_bench<bf16>);
BENCHMARK(swiglu_forward_bench<float>);

// Runs in place, so from the second pass on its input is its own output; the work is the same.
template <typename T>
void swiglu_backward_bench(benchmark::State& state) {
  const Buffer<T> gate_up(kT * 2 * kF), dout(kT * kF);
  measure(state, kT * kF * 5 * int64_t{sizeof(T)},
          [&] { swiglu_backward(gate_up.data(), dout.data(), kT, kF); });
}
BENCHMARK(swiglu_backward_bench<bf16>);

void adamw_bench(benchmark::State& state) {
  const Buffer<bf16> weight(kParameters);
  const Buffer<float> master(kParameters), m(kParameters), v(kParameters), gradient(kParameters);
  fill_zero(v.data(), kParameters * sizeof(float));
  const AdamWStep step{.learning_rate = 1e-4, .weight_decay = 0.1};
  measure(state, kParameters * 30, [&] {
    adamw_update(weight.data(), master.data(), m.data(), v.data(), gradient.data(), kParameters,
                 step);
  });
}
BENCHMARK(adamw_bench);

void sum_of_squares_bench(benchmark::State& state) {
  const Buffer<float> x(kParameters);
  measure(state, kParameters * 4,
          [&] { benchmark::DoNotOptimize(sum_of_squares(x.data(), kParameters)); });
}
BENCHMARK(sum_of_squares_bench);

void online_softmax_bench(benchmark::State& state) {
  const Buffer<float> logits(kLogitRows * kV);
  std::vector<float> max(kLogitRows, -std::numeric_limits<float>::infinity()), sum(kLogitRows);
  measure(state, kLogitRows * kV * 4, [&] {
    online_softmax_update(logits.data(), kLogitRows, kV, kV, max.data(), sum.data());
  });
}
BENCHMARK(online_softmax_bench);

void cross_entropy_gradient_bench(benchmark::State& state) {
  const Buffer<float> logits(kLogitRows * kV);
  const std::vector<float> max(kLogitRows, 0.0f), sum(kLogitRows, 1000.0f);
  const std::vector<int32_t> targets(kLogitRows, 5);
  measure(state, kLogitRows * kV * 8, [&] {
    cross_entropy_gradient(logits.data(), kLogitRows, kV, kV, max.data(), sum.data(),
                           targets.data(), 0, 1.0f);
  });
}
BENCHMARK(cross_entropy_gradient_bench);

void embedding_backward_bench(benchmark::State& state) {
  const Buffer<bf16> dout(kT * kD);
  const Buffer<float> dweight(kV * kD);
  std::vector<int32_t> tokens;
  const RandomStream stream(3, 0);
  for (uint64_t r = 0; r < kT; ++r) tokens.push_back(static_cast<int32_t>(stream.below(r, kV)));
  measure(state, kT * kD * 10,
          [&] { embedding_backward(tokens.data(), dout.data(), kT, kD, dweight.data()); });
}
BENCHMARK(embedding_backward_bench);

void add_bench(benchmark::State& state) {
  const Buffer<bf16> a(kParameters), b(kParameters);
  measure(state, kParameters * 6, [&] { add(a.data(), b.data(), b.data(), kParameters); });
}
BENCHMARK(add_bench);

void convert_to_bf16_bench(benchmark::State& state) {
  const Buffer<float> from(kParameters);
  const Buffer<bf16> to(kParameters);
  measure(state, kParameters * 6, [&] { convert(from.data(), to.data(), kParameters); });
}
BENCHMARK(convert_to_bf16_bench);

void convert_to_f32_bench(benchmark::State& state) {
  const Buffer<bf16> from(kParameters);
  const Buffer<float> to(kParameters);
  measure(state, kParameters * 6, [&] { convert(from.data(), to.data(), kParameters); });
}
BENCHMARK(convert_to_f32_bench);

}  // namespace
}  // namespace borealis
