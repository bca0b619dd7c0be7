// Stands for src/kernels/cuda/products.cpp: three loops.
#include "kernels/cuda/products.h"

#include "cuda/emulated/stream.h"

namespace borealis::cuda {

struct CublasProducts::Plans {
  cudaStream_t stream;
};
CublasProducts::CublasProducts(std::span<std::byte>, cudaStream_t stream)
    : plans_(std::make_unique<Plans>(Plans{stream})) {}
CublasProducts::~CublasProducts() = default;

namespace {

// c[i, j] = start + sum of a(i, p) b(p, j)
template <typename A, typename B, typename Out>
void multiply(int64_t rows, int64_t columns, int64_t depth, const A& a, const B& b,
              const Out& out) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < depth; ++p) {
        sum += static_cast<float>(a(i, p)) * static_cast<float>(b(p, j));
      }
      out(i, j, sum);
    }
  }
}

template <typename T, typename Y>
void forward_as(cudaStream_t stream, const LinearShape& s, const T* x, const T* weight, Y* y) {
  emulated::queue(stream, [=] {
    multiply(
        s.rows, s.out_features, s.in_features,
        [&](int64_t i, int64_t p) { return x[i * s.in_features + p]; },
        [&](int64_t p, int64_t j) { return weight[j * s.in_features + p]; },
        [&](int64_t i, int64_t j, float sum) { y[i * s.out_features + j] = Y(sum); });
  });
}

}  // namespace

template <typename T>
void CublasProducts::forward(const LinearForward<T>& a) {
  forward_as(plans_->stream, a.shape, a.x, a.weight, a.y);
}
template <typename T>
void CublasProducts::forward_f32(const LinearShape& shape, const T* x, const T* weight, float* y) {
  forward_as(plans_->stream, shape, x, weight, y);
}
template <typename T>
void CublasProducts::backward_input(const LinearBackwardInput<T>& a) {
  emulated::queue(plans_->stream, [a] {
    const LinearShape& s = a.shape;
    multiply(
        s.rows, s.in_features, s.out_features,
        [&](int64_t i, int64_t p) { return a.dy[i * s.out_features + p]; },
        [&](int64_t p, int64_t j) { return a.weight[p * s.in_features + j]; },
        [&](int64_t i, int64_t j, float sum) { a.dx[i * s.in_features + j] = T(sum); });
  });
}
template <typename T>
void CublasProducts::backward_weight(const LinearBackwardWeight<T>& a) {
  emulated::queue(plans_->stream, [a] {
    const LinearShape& s = a.shape;
    multiply(
        s.out_features, s.in_features, s.rows,
        [&](int64_t i, int64_t p) { return a.dy[p * s.out_features + i]; },
        [&](int64_t p, int64_t j) { return a.x[p * s.in_features + j]; },
        [&](int64_t i, int64_t j, float sum) {
          float& to = a.dweight[i * s.in_features + j];
          to = a.accumulate ? to + sum : sum;
        });
  });
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
