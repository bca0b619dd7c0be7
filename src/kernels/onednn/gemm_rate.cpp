#include "kernels/gemm_rate.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/check.h"
#include "kernels/elementwise.h"

namespace borealis {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLargestProductFlops = 12e9;  // 13 to 30 ms on two cores: long enough to time

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

// The operands of one layer's products: zeros, which multiply as fast as any numbers, for no
// instruction used here depends on its operands. Their products are zeros again.
template <typename T>
struct Operands {
  LinearShape shape;
  float *scratch, *dweight;
  T *x, *weight, *y;

  // memory: bytes() of zeros.
  Operands(ProductMode mode, const LinearShape& s, std::byte* memory) : shape(s) {
    scratch = reinterpret_cast<float*>(memory);
    dweight = scratch + linear_scratch_floats(mode, s, ProductChoice::kLibrary);
    x = reinterpret_cast<T*>(dweight + s.out_features * s.in_features);
    weight = x + s.rows * s.in_features;
    y = weight + s.out_features * s.in_features;
  }
  static size_t bytes(ProductMode mode, const LinearShape& s) {
    const int64_t weights = s.out_features * s.in_features;
    const int64_t activations = s.rows * (s.in_features + s.out_features);
    return static_cast<size_t>(weights + linear_scratch_floats(mode, s, ProductChoice::kLibrary)) *
               sizeof(float) +
           static_cast<size_t>(weights + activations) * sizeof(T);
  }
};

// Where bf16 is widened, f32 is what is really multiplied.
template <typename T>
constexpr ProductMode kModeOf = dtype_of<T>() == DType::kF32 ? ProductMode::kF32
                                                             : ProductMode::kBF16Native;

// The shape that is multiplied in place of `whole`: no product is long, and its operands fit.
template <typename T>
LinearShape cut_to(size_t bytes, const LinearShape& whole) {
  LinearShape shape = cut(whole);
  while (Operands<T>::bytes(kModeOf<T>, shape) > bytes) {
    int64_t& larger = shape.out_features > shape.rows ? shape.out_features : shape.rows;
    CHECK(larger > 1, "memory for a product");
    larger /= 2;
  }
  return shape;
}

template <typename T>
size_t most_bytes(std::span<const LinearShape> shapes) {
  size_t most = 0;
  for (const LinearShape& whole : shapes) {
    most = std::max(most, Operands<T>::bytes(kModeOf<T>, cut(whole)));
  }
  return most;
}

constexpr int kProducts = 3;
constexpr std::array<const char*, kProducts> kProductNames = {"y = x W'", "dx = dy W",
                                                              "dW = dy' x"};

template <typename T>
void run_product(LinearEngine& engine, const Operands<T>& o, int product) {
  if (product == 0) engine.forward(o.x, o.weight, o.y, o.shape);
  if (product == 1) engine.backward_data(o.y, o.weight, o.x, o.shape);
  if (product == 2) engine.backward_weight(o.y, o.x, o.dweight, false, o.shape);
}

template <typename T>
GemmRate measure(std::span<const LinearShape> shapes, double seconds, std::span<std::byte> memory) {
  fill_zero(memory.data(), std::min(memory.size(), most_bytes<T>(shapes)));
  GemmRate best;
  const double share = seconds / static_cast<double>(kProducts * shapes.size());
  for (const LinearShape& whole : shapes) {
    const Operands<T> operands(kModeOf<T>, cut_to<T>(memory.size(), whole), memory.data());
    const LinearShape& s = operands.shape;
    LinearEngine engine(kModeOf<T>, operands.scratch);
    for (int product = 0; product < kProducts; ++product) {
      run_product(engine, operands, product);  // makes the primitive and warms the caches
      const auto start = Clock::now();
      do {
        const auto before = Clock::now();
        run_product(engine, operands, product);
        const double rate = product_flops(s) / seconds_since(before);
        if (rate > best.flops_per_s) {
          best = {rate,
                  fmt::format("oneDNN {} {}, x {} x {}, W {} x {}, {} threads, best of several",
                              dtype_name(dtype_of<T>()), kProductNames[product], s.rows,
                              s.in_features, s.out_features, s.in_features, omp_get_max_threads())};
        }
      } while (seconds_since(start) < share);
    }
  }
  return best;
}

}  // namespace

size_t gemm_operand_bytes(ProductMode mode, std::span<const LinearShape> shapes) {
  return mode == ProductMode::kBF16Native ? most_bytes<bf16>(shapes) : most_bytes<float>(shapes);
}

GemmRate measure_gemm_rate(ProductMode mode, std::span<const LinearShape> shapes, double seconds,
                           std::span<std::byte> memory) {
  if (mode == ProductMode::kBF16Native) return measure<bf16>(shapes, seconds, memory);
  return measure<float>(shapes, seconds, memory);
}

}  // namespace borealis
