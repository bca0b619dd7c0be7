#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/embedding.cpp"
// clang-format off
#include "base/rounding.h"
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/embedding.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void accumulate(const T* from, int64_t n, float* into) {
  const F32 d;
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    store(d, hn::Add(load(d, into + i, width), load(d, from + i, width)), into + i, width);
  });
}

}  // namespace

void embedding_accumulate_f32(const float* from, int64_t n, float* into) {
  accumulate(from, n, into);
}
void embedding_accumulate_bf16(const bf16* from, int64_t n, float* into) {
  accumulate(from, n, into);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(embedding_accumulate_f32);
HWY_EXPORT(embedding_accumulate_bf16);

auto accumulate_of(const float*) { return HWY_DYNAMIC_DISPATCH(embedding_accumulate_f32); }
auto accumulate_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(embedding_accumulate_bf16); }
}  // namespace

template <typename T>
void embedding_forward(const int32_t* tokens, const T* weight, int64_t rows, int64_t D, T* out) {
  for_each_row(rows, D, [&](int64_t row) {
    std::memcpy(out + row * D, weight + tokens[row] * D, static_cast<size_t>(D) * sizeof(T));
  });
}

template <typename T>
void embedding_backward(const int32_t* tokens, const T* dout, int64_t rows, int64_t D,
                        float* dweight) {
  const auto row_kernel = accumulate_of(dout);
  constexpr int64_t kCacheLine = 16;  // floats; two threads never write to the same line
  const int64_t lines = divide_up(D, kCacheLine);
#pragma omp parallel if (rows * D > kParallelElements)
  {
    const int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const int64_t begin = std::min(D, lines * thread / threads * kCacheLine);
    const int64_t end = std::min(D, lines * (thread + 1) / threads * kCacheLine);
    for (int64_t row = 0; begin < end && row < rows; ++row) {
      row_kernel(dout + row * D + begin, end - begin, dweight + tokens[row] * D + begin);
    }
  }
}

template void embedding_forward(const int32_t*, const float*, int64_t, int64_t, float*);
template void embedding_forward(const int32_t*, const bf16*, int64_t, int64_t, bf16*);
template void embedding_backward(const int32_t*, const float*, int64_t, int64_t, float*);
template void embedding_backward(const int32_t*, const bf16*, int64_t, int64_t, float*);

}  // namespace borealis
#endif
