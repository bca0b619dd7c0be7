#include "kernels/gemm_rate.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>

#include "base/memory.h"

namespace borealis {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLargestProductFlops = 4e9;  // some 25 ms on two cores: long enough to time

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

LinearShape cut(LinearShape shape) {
  shape.rows = std::min<int64_t>(shape.rows, 2048);
  const double flops_per_output =
      2.0 * static_cast<double>(shape.rows) * static_cast<double>(shape.in_features);
  const auto affordable = static_cast<int64_t>(kLargestProductFlops / flops_per_output);
  shape.out_features = std::min(shape.out_features, std::max<int64_t>(affordable / 16 * 16, 64));
  return shape;
}

double product_flops(const LinearShape& s) {
  return 2.0 * static_cast<double>(s.rows) * static_cast<double>(s.out_features) *
         static_cast<double>(s.in_features);
}

template <typename T>
GemmRate measure(std::span<const LinearShape> shapes, double seconds) {
  LinearEngine engine(dtype_of<T>() == DType::kF32 ? ProductMode::kF32 : ProductMode::kBF16Native,
                      nullptr);
  GemmRate best;
  const double share = seconds / static_cast<double>(shapes.size());
  for (const LinearShape& whole : shapes) {
    const LinearShape s = cut(whole);
    const int64_t elements =
        s.rows * s.in_features + s.out_features * s.in_features + s.rows * s.out_features;
    const PageBuffer memory(static_cast<size_t>(elements) * sizeof(T), "the GEMM measurement");
    // Zeros multiply as fast as any numbers: no instruction used here depends on its operands.
    T* x = reinterpret_cast<T*>(memory.data());
    T* weight = x + s.rows * s.in_features;
    T* y = weight + s.out_features * s.in_features;
    engine.forward(x, weight, y, s);  // makes the primitive and warms the caches
    const auto start = Clock::now();
    do {
      const auto before = Clock::now();
      engine.forward(x, weight, y, s);
      const double rate = product_flops(s) / seconds_since(before);
      if (rate > best.flops_per_s) {
        best = {rate, fmt::format("oneDNN {} {} x {} x {}, {} threads, best of several",
                                  dtype_name(dtype_of<T>()), s.rows, s.out_features, s.in_features,
                                  omp_get_max_threads())};
      }
    } while (seconds_since(start) < share);
  }
  return best;
}

}  // namespace

GemmRate measure_gemm_rate(ProductMode mode, std::span<const LinearShape> shapes, double seconds) {
  if (mode == ProductMode::kBF16Native) return measure<bf16>(shapes, seconds);
  return measure<float>(shapes, seconds);
}

}  // namespace borealis
