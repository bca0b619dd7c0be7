#include "kernels/cuda/products.h"

#include <cublasLt.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "base/error.h"

namespace borealis::cuda {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorKind::kDevice,
              fmt::format("cuBLASLt: {}: {}", what, cublasLtGetStatusString(status)));
}

template <typename T>
constexpr cudaDataType_t data_type() {
  return dtype_of<T>() == DType::kF32 ? CUDA_R_32F : CUDA_R_16BF;
}

// d (+)= op(a) op(b) as cuBLAS counts: column-major, m x n with k in between.
struct Product {
  cublasOperation_t op_a = CUBLAS_OP_N, op_b = CUBLAS_OP_N;
  int64_t m = 0, n = 0, k = 0, lda = 0, ldb = 0, ldd = 0;
  cudaDataType_t in = CUDA_R_32F, out = CUDA_R_32F;
  uint32_t alignment = 0;  // bytes, of all pointers

  auto key() const { return std::tuple(op_a, op_b, m, n, k, lda, ldb, ldd, in, out, alignment); }
  bool operator<(const Product& other) const { return key() < other.key(); }
};

uint32_t alignment_of(const void* a, const void* b, const void* d) {
  const auto bits = reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) |
                    reinterpret_cast<uintptr_t>(d);
  return uint32_t{1} << std::min(std::countr_zero(bits | 256), 8);
}

class Matrix {
 public:
  Matrix(cudaDataType_t type, int64_t rows, int64_t columns, int64_t ld) {
    check(cublasLtMatrixLayoutCreate(&layout_, type, static_cast<uint64_t>(rows),
                                     static_cast<uint64_t>(columns), ld),
          "describing a matrix");
  }
  ~Matrix() { cublasLtMatrixLayoutDestroy(layout_); }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  cublasLtMatrixLayout_t get() const { return layout_; }

 private:
  cublasLtMatrixLayout_t layout_ = nullptr;
};

class Plan {
 public:
  Plan(cublasLtHandle_t handle, const Product& p, size_t workspace_bytes)
      : a_(p.in, p.op_a == CUBLAS_OP_N ? p.m : p.k, p.op_a == CUBLAS_OP_N ? p.k : p.m, p.lda),
        b_(p.in, p.op_b == CUBLAS_OP_N ? p.k : p.n, p.op_b == CUBLAS_OP_N ? p.n : p.k, p.ldb),
        d_(p.out, p.m, p.n, p.ldd) {
    check(cublasLtMatmulDescCreate(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.op_a);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.op_b);
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "choosing a product");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof(value)),
            "choosing a product");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{workspace_bytes});
    for (const auto of :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      prefer(of, p.alignment);
    }
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, operation_, a_.get(), b_.get(), d_.get(), d_.get(),
                                       preference, 1, &choice_, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    check(status, "choosing a product");
    if (found == 0) {
      throw Error(ErrorKind::kDevice,
                  fmt::format("cuBLASLt has no product of {} x {} x {}", p.m, p.n, p.k));
    }
  }
  ~Plan() { cublasLtMatmulDescDestroy(operation_); }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  void run(cublasLtHandle_t handle, const void* a, const void* b, void* d, bool accumulate,
           std::span<std::byte> workspace, cudaStream_t stream) const {
    const float alpha = 1, beta = accumulate ? 1.0f : 0.0f;
    check(cublasLtMatmul(handle, operation_, &alpha, a, a_.get(), b, b_.get(), &beta, d, d_.get(),
                         d, d_.get(), &choice_.algo, workspace.data(), workspace.size(), stream),
          "a product");
  }

 private:
  template <typename V>
  void set(cublasLtMatmulDescAttributes_t what, const V& value) {
    check(cublasLtMatmulDescSetAttribute(operation_, what, &value, sizeof(value)),
          "describing a product");
  }

  Matrix a_, b_, d_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatmulHeuristicResult_t choice_{};
};

}  // namespace

struct CublasProducts::Plans {
  Plans(std::span<std::byte> memory, cudaStream_t in_stream)
      : workspace(memory), stream(in_stream) {
    check(cublasLtCreate(&handle), "starting");
  }
  ~Plans() {
    plans.clear();
    cublasLtDestroy(handle);
  }
  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  void run(Product product, const void* a, const void* b, void* d, bool accumulate) {
    if (product.m == 0 || product.n == 0) return;
    product.alignment = alignment_of(a, b, d);
    const auto plan = plans.try_emplace(product, handle, product, workspace.size()).first;
    plan->second.run(handle, a, b, d, accumulate, workspace, stream);
  }

  std::span<std::byte> workspace;
  cudaStream_t stream;
  cublasLtHandle_t handle = nullptr;
  std::map<Product, Plan> plans;
};

CublasProducts::CublasProducts(std::span<std::byte> workspace, cudaStream_t stream)
    : plans_(std::make_unique<Plans>(workspace, stream)) {}
CublasProducts::~CublasProducts() = default;

namespace {

// y^T [N, M] = W x^T of row-major y, W, x.
template <typename T>
Product forward_product(const LinearShape& s, cudaDataType_t out) {
  return {.op_a = CUBLAS_OP_T,
          .op_b = CUBLAS_OP_N,
          .m = s.out_features,
          .n = s.rows,
          .k = s.in_features,
          .lda = s.in_features,
          .ldb = s.in_features,
          .ldd = s.out_features,
          .in = data_type<T>(),
          .out = out};
}

}  // namespace

template <typename T>
void CublasProducts::forward(const LinearForward<T>& a) {
  plans_->run(forward_product<T>(a.shape, data_type<T>()), a.weight, a.x, a.y, false);
}

template <typename T>
void CublasProducts::forward_f32(const LinearShape& shape, const T* x, const T* weight, float* y) {
  plans_->run(forward_product<T>(shape, CUDA_R_32F), weight, x, y, false);
}

// dx^T [K, M] = W^T dy^T
template <typename T>
void CublasProducts::backward_input(const LinearBackwardInput<T>& a) {
  const LinearShape& s = a.shape;
  plans_->run({.op_a = CUBLAS_OP_N,
               .op_b = CUBLAS_OP_N,
               .m = s.in_features,
               .n = s.rows,
               .k = s.out_features,
               .lda = s.in_features,
               .ldb = s.out_features,
               .ldd = s.in_features,
               .in = data_type<T>(),
               .out = data_type<T>()},
              a.weight, a.dy, a.dx, false);
}

// dW^T [K, N] (+)= x^T dy
template <typename T>
void CublasProducts::backward_weight(const LinearBackwardWeight<T>& a) {
  const LinearShape& s = a.shape;
  plans_->run({.op_a = CUBLAS_OP_N,
               .op_b = CUBLAS_OP_T,
               .m = s.in_features,
               .n = s.out_features,
               .k = s.rows,
               .lda = s.in_features,
               .ldb = s.out_features,
               .ldd = s.in_features,
               .in = data_type<T>(),
               .out = CUDA_R_32F},
              a.x, a.dy, a.dweight, a.accumulate);
}

template void CublasProducts::forward(const LinearForward<float>&);
template void CublasProducts::forward(const LinearForward<bf16>&);
template void CublasProducts::forward_f32(const LinearShape&, const float*, const float*, float*);
template void CublasProducts::forward_f32(const LinearShape&, const bf16*, const bf16*, float*);
template void CublasProducts::backward_input(const LinearBackwardInput<float>&);
template void CublasProducts::backward_input(const LinearBackwardInput<bf16>&);
template void CublasProducts::backward_weight(const LinearBackwardWeight<float>&);
template void CublasProducts::backward_weight(const LinearBackwardWeight<bf16>&);

}  // namespace borealis::cuda
