#include "kernels/linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <unordered_map>

#include "base/check.h"
#include "base/log.h"
#include "kernels/cpu/partition.h"
#include "kernels/cpu/product_bf16.h"
#include "kernels/cpu_isa.h"
#include "kernels/elementwise.h"
#include "kernels/onednn/isa.h"

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

// The blocks of an operand x or dx [M, K], of the weight [N, K] and of y or dy [M, N], in f32.
struct WideBlocks {
  int64_t tokens, outputs;  // rows of a block of M, and of N
  int64_t in_ld, out_ld;    // of rows of K, and of outputs
  int64_t floats;
  float *in = nullptr, *weight = nullptr, *out = nullptr;

  explicit WideBlocks(const LinearShape& shape)
      : tokens(token_block(shape.rows)),
        outputs(out_block(shape)),
        in_ld(shape.in_features + kRowPadding),
        out_ld(outputs + kRowPadding),
        floats((tokens + outputs) * in_ld + tokens * out_ld) {}
  WideBlocks(const LinearShape& shape, float* scratch) : WideBlocks(shape) {
    in = scratch;
    weight = in + tokens * in_ld;
    out = weight + outputs * in_ld;
  }
};

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

// "gemm:jit" holds the f32 sums of a bf16 result, as far apart as its rows, until they are rounded:
// blocks of rows bound them.
constexpr int64_t kMostRoundedRows = 2048, kLeastRoundedRows = 256;
constexpr int64_t kRoundedFloats = int64_t{16} << 20;

int64_t rounded_rows(int64_t m, int64_t ldc) {
  return std::min(m, std::clamp(kRoundedFloats / ldc, kLeastRoundedRows, kMostRoundedRows));
}

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

namespace {

// c [m, n] (+)= op(a) op(b), by leading dimensions and types.
struct ProductKey {
  int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, accumulate;
  dnnl::memory::data_type in, out;

  auto operator<=>(const ProductKey&) const = default;
};

dnnl::matmul::primitive_desc describe(const ProductKey& key, const dnnl::engine& engine) {
  using dnnl::memory;
  const auto matrix = [](int64_t rows, int64_t cols, int64_t ld, bool transposed,
                         memory::data_type type) {
    return memory::desc({rows, cols}, type, transposed ? memory::dims{1, ld} : memory::dims{ld, 1});
  };
  const memory::desc a = matrix(key.m, key.k, key.lda, key.ta, key.in);
  const memory::desc b = matrix(key.k, key.n, key.ldb, key.tb, key.in);
  const memory::desc c = matrix(key.m, key.n, key.ldc, false, key.out);
  dnnl::primitive_attr attributes;
  if (key.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  // The sums behind a bf16 result lie in memory of ours, which is planned; f32 results need none.
  if (key.out == memory::data_type::bf16) {
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  }
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, c, attributes};
#else
  return {dnnl::matmul::desc(a, b, c), attributes, engine};
#endif
}

// What oneDNN needs beside the operands of a bf16 result y [m, n] of dense matrices.
int64_t scratchpad_floats(int64_t m, int64_t n, int64_t k, bool tb) {
  constexpr auto kType = dnnl::memory::data_type::bf16;
  const bool halves = better_halves(m, n, k, false) == Halves::kColumns;
  const ProductKey key{halves ? rounded_rows(m, n) : m,
                       halves ? n / 2 : n,
                       k,
                       k,
                       tb ? k : n,
                       n,
                       false,
                       tb,
                       false,
                       kType,
                       kType};
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return static_cast<int64_t>(describe(key, engine).scratchpad_desc().get_size() + 3) / 4;
}

}  // namespace

int64_t linear_scratch_floats(ProductMode mode, const LinearShape& shape, ProductChoice products) {
  const auto [M, N, K] = shape;
  const bool own = products == ProductChoice::kOwnWhereTheyFit && bf16_products_supported();
  switch (mode) {
    case ProductMode::kF32:
      return 0;
    case ProductMode::kBF16Native:
      return std::max(own && bf16_product_fits(M, N, K) ? 0 : scratchpad_floats(M, N, K, true),
                      own && bf16_product_fits(M, K, N) ? 0 : scratchpad_floats(M, K, N, false));
    case ProductMode::kBF16WidenedToF32:
      return WideBlocks(shape).floats;
  }
  return 0;
}

ProductChoice products_for_rows(int64_t most_rows) {
  constexpr int64_t kFittingSize = 64;  // of the other two dimensions
  return bf16_product_fits(most_rows, kFittingSize, kFittingSize) ? ProductChoice::kOwnWhereTheyFit
                                                                  : ProductChoice::kLibrary;
}

int64_t linear_engine_bytes(ProductMode mode, int threads, ProductChoice products) {
  if (products == ProductChoice::kLibrary || mode != ProductMode::kBF16Native ||
      !bf16_products_supported()) {
    return 0;
  }
  return bf16_product_workspace_floats(threads) * static_cast<int64_t>(sizeof(float));
}

int64_t library_panel_bytes(int threads) {
  // Measured (oneDNN 2.6): with AVX-512 a block per thread. AVX2's products divide the longer side
  // of a block of about the same size, whatever the number of threads: 8 to 20 MiB with 1 and 2
  // threads, 14 to 22 with 16.
  constexpr int64_t kMiB = int64_t{1} << 20;
  if (onednn_has_avx512()) return threads * 11 * kMiB / 4;
  return 12 * kMiB + threads * kMiB / 2;
}

// One matmul primitive per (shape, strides, types); creating one costs tens of microseconds.
struct LinearEngine::Primitives {
  struct Product {
    std::unordered_map<int, dnnl::memory> operands;
    dnnl::matmul primitive;
  };

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<ProductKey, Product> cache;

  Product& get(const ProductKey& key) {
    const auto found = cache.find(key);
    if (found != cache.end()) return found->second;
    const auto descriptor = describe(key, engine);
    log_debug(fmt::format("product {} x {} x {}{}: oneDNN's {}", key.m, key.n, key.k,
                          key.accumulate ? ", added to the result" : "",
                          descriptor.impl_info_str()));
    const auto operand = [this](const dnnl::memory::desc& desc) {
      return dnnl::memory(desc, engine, nullptr);
    };
    Product product{{{DNNL_ARG_SRC, operand(descriptor.src_desc())},
                     {DNNL_ARG_WEIGHTS, operand(descriptor.weights_desc())},
                     {DNNL_ARG_DST, operand(descriptor.dst_desc())}},
                    dnnl::matmul(descriptor)};
    if (key.out == dnnl::memory::data_type::bf16) {
      product.operands.emplace(DNNL_ARG_SCRATCHPAD, operand(descriptor.scratchpad_desc()));
    }
    return cache.emplace(key, std::move(product)).first->second;
  }
};

LinearEngine::LinearEngine(ProductMode mode, float* scratch)
    : mode_(mode), scratch_(scratch), primitives_(std::make_unique<Primitives>()) {}
LinearEngine::LinearEngine(ProductMode mode, float* scratch, int threads, ProductChoice products)
    : LinearEngine(mode, scratch) {
  threads_ = threads;
  const int64_t bytes = linear_engine_bytes(mode, threads, products);
  if (bytes > 0) workspace_ = PageBuffer(static_cast<size_t>(bytes), "packed operands");
}
LinearEngine::~LinearEngine() = default;

bool LinearEngine::is_our_own(int64_t m, int64_t n, int64_t k) const {
  return workspace_.data() != nullptr && bf16_product_fits(m, n, k);
}

template <typename TIn, typename TOut>
void LinearEngine::product(int64_t m, int64_t n, int64_t k, const TIn* a, int64_t lda, Transpose ta,
                           const TIn* b, int64_t ldb, Transpose tb, TOut* c, int64_t ldc,
                           bool accumulate) {
  if constexpr (std::is_same_v<TIn, bf16>) {
    const bool rounds_sum = std::is_same_v<TOut, bf16> && accumulate;
    const bool takes_a = ta == Transpose::kNo || bf16_product_transposes();
    if (takes_a && !rounds_sum && is_our_own(m, n, k)) {
      Bf16Product own{m, n, k, a, lda, b, ldb, tb == Transpose::kYes, ldc, accumulate};
      own.a_transposed = ta == Transpose::kYes;
      multiply_bf16(own, c, threads_, own_workspace());
      return;
    }
  }
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
    const int64_t step = std::is_same_v<TOut, bf16> ? rounded_rows(m, ldc) : m;
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
  product.operands.at(DNNL_ARG_SRC).set_data_handle(const_cast<TIn*>(a));
  product.operands.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<TIn*>(b));
  product.operands.at(DNNL_ARG_DST).set_data_handle(c);
  if constexpr (std::is_same_v<TOut, bf16>) {
    product.operands.at(DNNL_ARG_SCRATCHPAD).set_data_handle(scratch_);
  }
  product.primitive.execute(primitives_->stream, product.operands);
  primitives_->stream.wait();
}

template <typename T>
void LinearEngine::forward(const T* x, const T* weight, T* y, const LinearShape& shape,
                           const ResultEpilogue* epilogue) {
  const auto [M, N, K] = shape;
  if constexpr (std::is_same_v<T, bf16>) {
    if (epilogue != nullptr && is_our_own(M, N, K) && bf16_product_takes(*epilogue)) {
      Bf16Product product{M, N, K, x, K, weight, K, /*b_transposed=*/true, N};
      product.epilogue = epilogue;
      multiply_bf16(product, y, threads_, own_workspace());
      return;
    }
  }
  multiply_forward(x, weight, y, shape);
  if (epilogue == nullptr) return;
  for_each_row(M, shape.out_features, [&](int64_t row) {
    epilogue->apply({row, 1, 0, shape.out_features});
  });
}

template <typename T>
void LinearEngine::multiply_forward(const T* x, const T* weight, T* y, const LinearShape& shape) {
  const auto [M, N, K] = shape;
  if (mode_ != ProductMode::kBF16WidenedToF32) {
    product(M, N, K, x, K, Transpose::kNo, weight, K, Transpose::kYes, y, N, false);
    return;
  }
  if constexpr (std::is_same_v<T, bf16>) {
    const WideBlocks wide(shape, scratch_);
    for (int64_t row = 0; row < M; row += wide.tokens) {
      const int64_t rows = std::min(wide.tokens, M - row);
      convert_rows(x + row * K, K, wide.in, wide.in_ld, rows, K);
      for (int64_t out = 0; out < N; out += wide.outputs) {
        const int64_t cols = std::min(wide.outputs, N - out);
        convert_rows(weight + out * K, K, wide.weight, wide.in_ld, cols, K);
        product(rows, cols, K, wide.in, wide.in_ld, Transpose::kNo, wide.weight, wide.in_ld,
                Transpose::kYes, wide.out, wide.out_ld, false);
        convert_rows(wide.out, wide.out_ld, y + row * N + out, N, rows, cols);
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
    const WideBlocks wide(shape, scratch_);
    for (int64_t row = 0; row < M; row += wide.tokens) {
      const int64_t rows = std::min(wide.tokens, M - row);
      for (int64_t out = 0; out < N; out += wide.outputs) {
        const int64_t cols = std::min(wide.outputs, N - out);
        convert_rows(dy + row * N + out, N, wide.out, wide.out_ld, rows, cols);
        convert_rows(weight + out * K, K, wide.weight, wide.in_ld, cols, K);
        product(rows, K, cols, wide.out, wide.out_ld, Transpose::kNo, wide.weight, wide.in_ld,
                Transpose::kNo, wide.in, wide.in_ld, /*accumulate=*/out > 0);
      }
      convert_rows(wide.in, wide.in_ld, dx + row * K, K, rows, K);
    }
  }
}

template <typename T>
void LinearEngine::backward_weight(const T* dy, const T* x, float* dweight, bool accumulate,
                                   const LinearShape& shape) {
  const auto [M, N, K] = shape;
  if (mode_ != ProductMode::kBF16WidenedToF32) {
    product(N, K, M, dy, N, Transpose::kYes, x, K, Transpose::kNo, dweight, K, accumulate);
    return;
  }
  if constexpr (std::is_same_v<T, bf16>) {
    const WideBlocks wide(shape, scratch_);
    for (int64_t row = 0; row < M; row += wide.tokens) {
      const int64_t rows = std::min(wide.tokens, M - row);
      convert_rows(x + row * K, K, wide.in, wide.in_ld, rows, K);
      for (int64_t out = 0; out < N; out += wide.outputs) {
        const int64_t cols = std::min(wide.outputs, N - out);
        convert_rows(dy + row * N + out, N, wide.out, wide.out_ld, rows, cols);
        product(cols, K, rows, wide.out, wide.out_ld, Transpose::kYes, wide.in, wide.in_ld,
                Transpose::kNo, dweight + out * K, K, accumulate || row > 0);
      }
    }
  }
}

template void LinearEngine::forward(const float*, const float*, float*, const LinearShape&,
                                    const ResultEpilogue*);
template void LinearEngine::forward(const bf16*, const bf16*, bf16*, const LinearShape&,
                                    const ResultEpilogue*);
template void LinearEngine::backward_data(const float*, const float*, float*, const LinearShape&);
template void LinearEngine::backward_data(const bf16*, const bf16*, bf16*, const LinearShape&);
template void LinearEngine::backward_weight(const float*, const float*, float*, bool,
                                            const LinearShape&);
template void LinearEngine::backward_weight(const bf16*, const bf16*, float*, bool,
                                            const LinearShape&);
template void LinearEngine::product(int64_t, int64_t, int64_t, const float*, int64_t, Transpose,
                                    const float*, int64_t, Transpose, float*, int64_t, bool);
template void LinearEngine::product(int64_t, int64_t, int64_t, const bf16*, int64_t, Transpose,
                                    const bf16*, int64_t, Transpose, float*, int64_t, bool);
template void LinearEngine::product(int64_t, int64_t, int64_t, const bf16*, int64_t, Transpose,
                                    const bf16*, int64_t, Transpose, bf16*, int64_t, bool);

}  // namespace borealis
