#include "kernels/linear.h"

#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <tuple>

#include "base/check.h"
#include "kernels/cpu_isa.h"
#include "kernels/elementwise.h"

namespace borealis {
namespace {

// Blocks of the widened path. Tokens per block: a weight is widened once per block, so the block is
// long; floats of weight per block: it stays in the last-level cache between widening and product.
constexpr int64_t kTokenBlock = 2048;
constexpr int64_t kWeightBlockFloats = int64_t{4} << 20;

int64_t token_block(int64_t rows) { return std::min(rows, kTokenBlock); }
int64_t out_block(const LinearShape& shape) {
  const int64_t fitting = std::max<int64_t>(kWeightBlockFloats / shape.in_features / 16 * 16, 64);
  return std::min(shape.out_features, fitting);
}

// oneDNN 2.6 multiplies dense matrices by its "brgemm" and others by "gemm:jit". The latter is
// faster on large products: on Zen 4 and Zen 5, 3 to 15 % forward, 2 to 12 % for dX, 5 to 20 % for
// dW; slower on small ones. Half of a matrix's columns are not dense, and neither are half of the
// rows of a transposed one, which are its columns in memory.
constexpr double kSplitFromMultiplications = 2e9;

enum class Halves { kNone, kRows, kColumns };

Halves better_halves(int64_t m, int64_t n, int64_t k, bool a_transposed) {
  const double multiplications =
      static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (multiplications < kSplitFromMultiplications) return Halves::kNone;
  if (a_transposed && m > n && m % 32 == 0) return Halves::kRows;
  return n % 32 == 0 ? Halves::kColumns : Halves::kNone;
}

// "gemm:jit" holds the f32 sums of a bf16 result until they are rounded: rows by blocks bound them.
constexpr int64_t kRoundedRows = 2048;

template <typename T>
dnnl::memory::data_type onednn_type() {
  return dtype_of<T>() == DType::kF32 ? dnnl::memory::data_type::f32
                                      : dnnl::memory::data_type::bf16;
}

}  // namespace

ProductMode product_mode(DType dtype) {
  if (dtype == DType::kF32) return ProductMode::kF32;
  return native_bf16_products() ? ProductMode::kBF16Native : ProductMode::kBF16WidenedToF32;
}

std::string_view product_mode_name(ProductMode mode) {
  switch (mode) {
    case ProductMode::kF32:
      return "fp32";
    case ProductMode::kBF16Native:
      return "bf16";
    case ProductMode::kBF16WidenedToF32:
      return "bf16 widened to fp32";
  }
  return "";
}

int64_t linear_scratch_floats(ProductMode mode, const LinearShape& shape) {
  if (mode != ProductMode::kBF16WidenedToF32) return 0;
  const int64_t tokens = token_block(shape.rows);
  const int64_t outputs = out_block(shape);
  return tokens * shape.in_features + outputs * shape.in_features + tokens * outputs;
}

// One matmul primitive per (shape, strides, types); creating one costs tens of microseconds.
struct LinearEngine::Primitives {
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, bool, bool,
                         dnnl::memory::data_type, dnnl::memory::data_type>;

  struct Product {
    dnnl::memory a, b, c;
    dnnl::matmul primitive;
  };

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, Product> cache;

  Product& get(const Key& key) {
    const auto found = cache.find(key);
    if (found != cache.end()) return found->second;
    const auto [m, n, k, lda, ldb, ldc, ta, tb, accumulate, in, out] = key;
    const dnnl::memory::desc a({m, k}, in,
                               ta ? dnnl::memory::dims{1, lda} : dnnl::memory::dims{lda, 1});
    const dnnl::memory::desc b({k, n}, in,
                               tb ? dnnl::memory::dims{1, ldb} : dnnl::memory::dims{ldb, 1});
    const dnnl::memory::desc c({m, n}, out, dnnl::memory::dims{ldc, 1});
    dnnl::primitive_attr attributes;
    if (accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc descriptor(engine, a, b, c, attributes);
#else
    const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(a, b, c), attributes, engine);
#endif
    Product product{dnnl::memory(a, engine, nullptr), dnnl::memory(b, engine, nullptr),
                    dnnl::memory(c, engine, nullptr), dnnl::matmul(descriptor)};
    return cache.emplace(key, std::move(product)).first->second;
  }
};

LinearEngine::LinearEngine(ProductMode mode, float* scratch)
    : mode_(mode), scratch_(scratch), primitives_(std::make_unique<Primitives>()) {}
LinearEngine::~LinearEngine() = default;

template <typename TIn, typename TOut>
void LinearEngine::product(int64_t m, int64_t n, int64_t k, const TIn* a, int64_t lda, Transpose ta,
                           const TIn* b, int64_t ldb, Transpose tb, TOut* c, int64_t ldc,
                           bool accumulate) {
  const bool dense = lda == (ta == Transpose::kYes ? m : k) && ldc == n;
  const Halves halves = mode_ != ProductMode::kBF16WidenedToF32 && dense
                            ? better_halves(m, n, k, ta == Transpose::kYes)
                            : Halves::kNone;
  if (halves == Halves::kRows) {
    const int64_t half = m / 2;
    product(half, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate);
    product(half, n, k, a + half, lda, ta, b, ldb, tb, c + half * ldc, ldc, accumulate);
    return;
  }
  if (halves == Halves::kColumns) {
    const int64_t half = n / 2;
    const TIn* right = tb == Transpose::kYes ? b + half * ldb : b + half;
    const int64_t step = std::is_same_v<TOut, bf16> ? kRoundedRows : m;
    for (int64_t row = 0; row < m; row += step) {
      const int64_t rows = std::min(step, m - row);
      const TIn* part = ta == Transpose::kYes ? a + row : a + row * lda;
      TOut* out = c + row * ldc;
      product(rows, half, k, part, lda, ta, b, ldb, tb, out, ldc, accumulate);
      product(rows, half, k, part, lda, ta, right, ldb, tb, out + half, ldc, accumulate);
    }
    return;
  }
  auto& product =
      primitives_->get({m, n, k, lda, ldb, ldc, ta == Transpose::kYes, tb == Transpose::kYes,
                        accumulate, onednn_type<TIn>(), onednn_type<TOut>()});
  product.a.set_data_handle(const_cast<TIn*>(a));
  product.b.set_data_handle(const_cast<TIn*>(b));
  product.c.set_data_handle(c);
  product.primitive.execute(
      primitives_->stream,
      {{DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.b}, {DNNL_ARG_DST, product.c}});
  primitives_->stream.wait();
}

template <typename T>
void LinearEngine::forward(const T* x, const T* weight, T* y, const LinearShape& shape) {
  const auto [M, N, K] = shape;
  if (mode_ != ProductMode::kBF16WidenedToF32) {
    product(M, N, K, x, K, Transpose::kNo, weight, K, Transpose::kYes, y, N, false);
    return;
  }
  if constexpr (std::is_same_v<T, bf16>) {
    const int64_t tokens = token_block(M), outputs = out_block(shape);
    float* wide_x = scratch_;
    float* wide_w = wide_x + tokens * K;
    float* wide_y = wide_w + outputs * K;
    for (int64_t row = 0; row < M; row += tokens) {
      const int64_t rows = std::min(tokens, M - row);
      convert(x + row * K, wide_x, rows * K);
      for (int64_t out = 0; out < N; out += outputs) {
        const int64_t cols = std::min(outputs, N - out);
        convert(weight + out * K, wide_w, cols * K);
        product(rows, cols, K, wide_x, K, Transpose::kNo, wide_w, K, Transpose::kYes, wide_y, cols,
                false);
        convert_rows(wide_y, cols, y + row * N + out, N, rows, cols);
      }
    }
  }
}

template <typename T>
void LinearEngine::backward_data(const T* dy, const T* weight, T* dx, const LinearShape& shape) {
  const auto [M, N, K] = shape;
  if (mode_ != ProductMode::kBF16WidenedToF32) {
    product(M, K, N, dy, N, Transpose::kNo, weight, K, Transpose::kNo, dx, K, false);
    return;
  }
  if constexpr (std::is_same_v<T, bf16>) {
    const int64_t tokens = token_block(M), outputs = out_block(shape);
    float* wide_dx = scratch_;
    float* wide_w = wide_dx + tokens * K;
    float* wide_dy = wide_w + outputs * K;
    for (int64_t row = 0; row < M; row += tokens) {
      const int64_t rows = std::min(tokens, M - row);
      for (int64_t out = 0; out < N; out += outputs) {
        const int64_t cols = std::min(outputs, N - out);
        convert_rows(dy + row * N + out, N, wide_dy, cols, rows, cols);
        convert(weight + out * K, wide_w, cols * K);
        product(rows, K, cols, wide_dy, cols, Transpose::kNo, wide_w, K, Transpose::kNo, wide_dx, K,
                /*accumulate=*/out > 0);
      }
      convert(wide_dx, dx + row * K, rows * K);
    }
  }
}

template <typename T>
void LinearEngine::backward_weight(const T* dy, const T* x, float* dweight,
                                   const LinearShape& shape) {
  const auto [M, N, K] = shape;
  if (mode_ != ProductMode::kBF16WidenedToF32) {
    product(N, K, M, dy, N, Transpose::kYes, x, K, Transpose::kNo, dweight, K, true);
    return;
  }
  if constexpr (std::is_same_v<T, bf16>) {
    const int64_t tokens = token_block(M), outputs = out_block(shape);
    float* wide_x = scratch_;
    float* wide_dy = wide_x + tokens * K;
    for (int64_t row = 0; row < M; row += tokens) {
      const int64_t rows = std::min(tokens, M - row);
      convert(x + row * K, wide_x, rows * K);
      for (int64_t out = 0; out < N; out += outputs) {
        const int64_t cols = std::min(outputs, N - out);
        convert_rows(dy + row * N + out, N, wide_dy, cols, rows, cols);
        product(cols, K, rows, wide_dy, cols, Transpose::kYes, wide_x, K, Transpose::kNo,
                dweight + out * K, K, true);
      }
    }
  }
}

template void LinearEngine::forward(const float*, const float*, float*, const LinearShape&);
template void LinearEngine::forward(const bf16*, const bf16*, bf16*, const LinearShape&);
template void LinearEngine::backward_data(const float*, const float*, float*, const LinearShape&);
template void LinearEngine::backward_data(const bf16*, const bf16*, bf16*, const LinearShape&);
template void LinearEngine::backward_weight(const float*, const float*, float*, const LinearShape&);
template void LinearEngine::backward_weight(const bf16*, const bf16*, float*, const LinearShape&);
template void LinearEngine::product(int64_t, int64_t, int64_t, const float*, int64_t, Transpose,
                                    const float*, int64_t, Transpose, float*, int64_t, bool);
template void LinearEngine::product(int64_t, int64_t, int64_t, const bf16*, int64_t, Transpose,
                                    const bf16*, int64_t, Transpose, float*, int64_t, bool);
template void LinearEngine::product(int64_t, int64_t, int64_t, const bf16*, int64_t, Transpose,
                                    const bf16*, int64_t, Transpose, bf16*, int64_t, bool);

}  // namespace borealis
