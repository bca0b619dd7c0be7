#include <cmath>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kElements = 1024;  // of a block: four a thread

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

template <typename T>
struct State {
  T* weight;
  uint16_t* remainder;
  float *m, *v;
};

// The f32 master weights of kCount elements: SplitF32 of base/dtype.h, or the weights themselves.
template <int kCount>
struct Masters {
  float values[kCount];

  __device__ static Masters load(const State<bf16>& state, int64_t i) {
    const auto upper = Vector<bf16, kCount>::load(state.weight + i);
    const auto lower = Vector<uint16_t, kCount>::load(state.remainder + i);
    Masters masters;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const uint32_t low = lower.values[k], rounded_up = (low & 0x8000u) << 1;
      masters.values[k] = __uint_as_float((__float_as_uint(upper[k]) | low) - rounded_up);
    }
    return masters;
  }
  __device__ void store(const State<bf16>& state, int64_t i) const {
    Vector<bf16, kCount> upper;
    Vector<uint16_t, kCount> lower;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const uint32_t word = isnan(values[k]) ? 0x7fc00000u : __float_as_uint(values[k]);
      upper.set_bits(k, (word + 0x8000u) >> 16);
      lower.values[k] = static_cast<uint16_t>(word);
    }
    upper.store(state.weight + i);
    lower.store(state.remainder + i);
  }
  __device__ static Masters load(const State<float>& state, int64_t i) {
    const auto weights = Vector<float, kCount>::load(state.weight + i);
    Masters masters;
#pragma unroll
    for (int k = 0; k < kCount; ++k) masters.values[k] = weights[k];
    return masters;
  }
  __device__ void store(const State<float>& state, int64_t i) const {
    Vector<float, kCount> weights;
#pragma unroll
    for (int k = 0; k < kCount; ++k) weights.set(k, values[k]);
    weights.store(state.weight + i);
  }
};

// Elements i .. of kCount. The operations and roundings of kernels/cpu/adamw.cpp; nothing else is
// contracted. gradient: null where it is zero.
template <int kCount, typename T>
__device__ void update(const State<T>& state, int64_t i, const float* gradient,
                       const Constants& c) {
  using Floats = Vector<float, kCount>;
  Floats gradients{};
  if (gradient != nullptr) gradients = Floats::load(gradient);
  Floats m = Floats::load(state.m + i), v = Floats::load(state.v + i);
  auto masters = Masters<kCount>::load(state, i);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float g = gradients[k] * c.gradient_scale;
    const float mean = fmaf(c.new_in_m, g - m[k], m[k]);
    const float square = fmaf(g * g, c.new_in_v, v[k] * c.beta2);
    const float denominator = sqrtf(square) / c.root_bias2 + c.eps;
    const float kept = masters.values[k] * c.keep;
    m.set(k, mean);
    v.set(k, square);
    masters.values[k] = fmaf(c.minus_step, mean / denominator, kept);
  }
  m.store(state.m + i);
  v.store(state.v + i);
  masters.store(state, i);
}

template <int kCount, typename T>
__device__ void decay(const State<T>& state, int64_t i, const Constants& c) {
  auto masters = Masters<kCount>::load(state, i);
#pragma unroll
  for (int k = 0; k < kCount; ++k) masters.values[k] *= c.keep;
  masters.store(state, i);
}

// kCount elements a thread, or one at a time.
template <typename T, int kCount>
__global__ void update_kernel(State<T> state, const float* gradient, int64_t count, Constants c) {
  const int64_t begin = blockIdx.x * kElements, end = min(count, begin + kElements);
  for (int64_t i = begin + int64_t{threadIdx.x} * kCount; i < end; i += kThreads * kCount) {
    update<kCount>(state, i, gradient + i, c);
  }
}

// A block a row of the embedding.
template <typename T, int kCount>
__global__ void rows_kernel(AdamWRowsOnDevice<T> a, int64_t first_row, Constants c) {
  const int64_t row = first_row + blockIdx.x, size = a.row_size;
  const int32_t place = a.place[row];
  const bool had_gradient = a.had_gradient[row] != 0;  // on its way with the place
  const float* gradient = place > 0 ? a.values + (int64_t{place} - 1) * size : nullptr;
  const int64_t from = max(row * size, a.begin), to = min((row + 1) * size, a.end);
  const State<T> state{a.weight, a.remainder, a.m, a.v};
  const int64_t first = from + int64_t{threadIdx.x} * kCount, step = blockDim.x * kCount;
  if (place > 0 || had_gradient) {
    for (int64_t i = first; i < to; i += step) {
      update<kCount>(state, i - a.begin, gradient == nullptr ? nullptr : gradient + i - row * size,
                     c);
    }
  } else {
    for (int64_t i = first; i < to; i += step) decay<kCount>(state, i - a.begin, c);
  }
}

constexpr int kQuad = 4;
template <typename T>
bool holds_quads(const State<T>& state) {
  return holds_vectors<kQuad>(state.weight) && holds_vectors<kQuad>(state.remainder) &&
         holds_vectors<kQuad>(state.m) && holds_vectors<kQuad>(state.v);
}

}  // namespace

template <typename T>
void adamw(const AdamWSpan<T>& a, const AdamWStep& step, cudaStream_t stream) {
  if (a.count == 0) return;
  const State<T> state{a.weight, a.remainder, a.m, a.v};
  const Constants constants = constants_of(step);
  const bool quads = holds_quads(state) && holds_vectors<kQuad>(a.gradient);
  const int64_t in_quads = quads ? a.count / kQuad * kQuad : 0, left = a.count - in_quads;
  if (in_quads > 0) {
    launch("AdamW", update_kernel<T, kQuad>, blocks_for(in_quads, kElements), kThreads, stream,
           state, a.gradient, in_quads, constants);
  }
  if (left > 0) {
    const State<T> rest{a.weight + in_quads,
                        a.remainder == nullptr ? nullptr : a.remainder + in_quads, a.m + in_quads,
                        a.v + in_quads};
    launch("AdamW", update_kernel<T, 1>, blocks_for(left, kElements), kThreads, stream, rest,
           a.gradient + in_quads, left, constants);
  }
}

template <typename T>
void adamw_rows(const AdamWRowsOnDevice<T>& a, const AdamWStep& step, cudaStream_t stream) {
  if (a.begin >= a.end) return;
  const int64_t first = a.begin / a.row_size, last = (a.end + a.row_size - 1) / a.row_size;
  const bool quads = a.begin % kQuad == 0 && a.end % kQuad == 0 && a.row_size % kQuad == 0 &&
                     holds_quads(State<T>{a.weight, a.remainder, a.m, a.v}) &&
                     holds_vectors<kQuad>(a.values);
  launch("AdamW of rows", quads ? rows_kernel<T, kQuad> : rows_kernel<T, 1>,
         static_cast<unsigned>(last - first), kThreads, stream, a, first, constants_of(step));
}

template void adamw(const AdamWSpan<float>&, const AdamWStep&, cudaStream_t);
template void adamw(const AdamWSpan<bf16>&, const AdamWStep&, cudaStream_t);
template void adamw_rows(const AdamWRowsOnDevice<float>&, const AdamWStep&, cudaStream_t);
template void adamw_rows(const AdamWRowsOnDevice<bf16>&, const AdamWStep&, cudaStream_t);

}  // namespace borealis::cuda
