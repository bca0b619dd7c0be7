#include <algorithm>
#include <cmath>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kElements = 1024;  // of a block

// As kernels/cpu/adamw.cpp makes them: in f64, rounded once.
struct Constants {
  float gradient_scale, keep, beta2, new_in_m, new_in_v, root_bias2, eps, minus_step;
};
Constants constants_of(const AdamWStep& step) {
  return {step.gradient_scale,
          static_cast<float>(1.0 - step.learning_rate * step.weight_decay),
          static_cast<float>(step.beta2),
          static_cast<float>(1.0 - step.beta1),
          static_cast<float>(1.0 - step.beta2),
          static_cast<float>(std::sqrt(step.bias_correction2)),
          static_cast<float>(step.eps),
          static_cast<float>(-step.learning_rate / step.bias_correction1)};
}

// The f32 master weight, SplitF32 of base/dtype.h or the weight itself.
__device__ float master_of(const bf16* weight, const uint16_t* remainder, int64_t i) {
  const uint32_t lower = remainder[i], rounded_up = (lower & 0x8000u) << 1;
  return __uint_as_float(((uint32_t{weight[i].bits} << 16) | lower) - rounded_up);
}
__device__ void set_master(bf16* weight, uint16_t* remainder, int64_t i, float v) {
  const uint32_t word = isnan(v) ? 0x7fc00000u : __float_as_uint(v);
  weight[i].bits = static_cast<uint16_t>((word + 0x8000u) >> 16);
  remainder[i] = static_cast<uint16_t>(word);
}
__device__ float master_of(const float* weight, const uint16_t*, int64_t i) { return weight[i]; }
__device__ void set_master(float* weight, uint16_t*, int64_t i, float v) { weight[i] = v; }

template <typename T>
struct State {
  T* weight;
  uint16_t* remainder;
  float *m, *v;
};

// The operations and roundings of kernels/cpu/adamw.cpp; nothing else is contracted.
template <typename T>
__device__ void update(const State<T>& state, int64_t i, float gradient, const Constants& c) {
  const float g = gradient * c.gradient_scale;
  const float old_m = state.m[i];
  const float mean = fmaf(c.new_in_m, g - old_m, old_m);
  const float square = fmaf(g * g, c.new_in_v, state.v[i] * c.beta2);
  const float denominator = sqrtf(square) / c.root_bias2 + c.eps;
  const float kept = master_of(state.weight, state.remainder, i) * c.keep;
  state.m[i] = mean;
  state.v[i] = square;
  set_master(state.weight, state.remainder, i, fmaf(c.minus_step, mean / denominator, kept));
}

template <typename T>
__device__ void decay(const State<T>& state, int64_t i, const Constants& c) {
  set_master(state.weight, state.remainder, i,
             master_of(state.weight, state.remainder, i) * c.keep);
}

template <typename T>
__global__ void update_kernel(State<T> state, const float* gradient, int64_t count, Constants c) {
  const int64_t begin = blockIdx.x * kElements, end = min(count, begin + kElements);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) update(state, i, gradient[i], c);
}

// A block a row of the embedding.
template <typename T>
__global__ void rows_kernel(AdamWRowsOnDevice<T> a, int64_t first_row, Constants c) {
  const int64_t row = first_row + blockIdx.x, size = a.row_size;
  const int32_t place = a.place[row];
  const bool has_history = place > 0 || a.had_gradient[row] != 0;
  const float* gradient = place > 0 ? a.values + (int64_t{place} - 1) * size : nullptr;
  const int64_t from = max(row * size, a.begin), to = min((row + 1) * size, a.end);
  const State<T> state{a.weight, a.remainder, a.m, a.v};
  for (int64_t i = from + threadIdx.x; i < to; i += blockDim.x) {
    if (has_history) {
      update(state, i - a.begin, gradient == nullptr ? 0.0f : gradient[i - row * size], c);
    } else {
      decay(state, i - a.begin, c);
    }
  }
  __syncthreads();  // all have read it
  if (threadIdx.x == 0 && place > 0) a.had_gradient[row] = 1;
}

}  // namespace

template <typename T>
void adamw(const AdamWSpan<T>& a, const AdamWStep& step, cudaStream_t stream) {
  if (a.count == 0) return;
  launch("AdamW", update_kernel<T>, blocks_for(a.count, kElements), kThreads, stream,
         State<T>{a.weight, a.remainder, a.m, a.v}, a.gradient, a.count, constants_of(step));
}

template <typename T>
void adamw_rows(const AdamWRowsOnDevice<T>& a, const AdamWStep& step, cudaStream_t stream) {
  if (a.begin >= a.end) return;
  const int64_t first = a.begin / a.row_size, last = (a.end + a.row_size - 1) / a.row_size;
  launch("AdamW of rows", rows_kernel<T>, static_cast<unsigned>(last - first), kThreads, stream, a,
         first, constants_of(step));
}

template void adamw(const AdamWSpan<float>&, const AdamWStep&, cudaStream_t);
template void adamw(const AdamWSpan<bf16>&, const AdamWStep&, cudaStream_t);
template void adamw_rows(const AdamWRowsOnDevice<float>&, const AdamWStep&, cudaStream_t);
template void adamw_rows(const AdamWRowsOnDevice<bf16>&, const AdamWStep&, cudaStream_t);

}  // namespace borealis::cuda
