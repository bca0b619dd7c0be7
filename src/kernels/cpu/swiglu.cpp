#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/swiglu.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/swiglu.h"

#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {

// For results in bf16 the reciprocal is x86's approximation and a step of Newton's, within 2e-7:
// division would take half of the time. Where exp(-x) nears infinity that step has no result, so
// below -87 it is 0, and would be below 2e-38.
template <typename T>
HWY_INLINE F32Vec sigmoid(F32 d, F32Vec x) {
  const auto one = hn::Set(d, 1.0f);
  const auto denominator = hn::Add(one, exp_f32(d, hn::Neg(x)));
  if constexpr (std::is_same_v<T, float> || !HWY_ARCH_X86) {
    return hn::Div(one, denominator);
  } else {
    const auto guess = hn::ApproximateReciprocal(denominator);
    const auto better = hn::Mul(guess, hn::NegMulAdd(denominator, guess, hn::Set(d, 2.0f)));
    return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.0f)), better);
  }
}

template <typename T>
void forward_row(const T* gate_up, int64_t F, T* out) {
  const F32 d;
  for_columns(d, F, [&](int64_t i, auto width) HWY_ATTR {
    const auto gate = load(d, gate_up + i, width);
    const auto up = load(d, gate_up + F + i, width);
    store(d, hn::Mul(hn::Mul(gate, sigmoid<T>(d, gate)), up), out + i, width);
  });
}

// With s = sigmoid(gate): d silu / d gate = s (1 + gate (1 - s)).
template <typename T>
void backward_row(T* gate_up, T* dout, int64_t F) {
  const F32 d;
  const auto one = hn::Set(d, 1.0f);
  for_columns(d, F, [&](int64_t i, auto width) HWY_ATTR {
    const auto gate = load(d, gate_up + i, width);
    const auto up = load(d, gate_up + F + i, width);
    const auto gradient = load(d, dout + i, width);
    const auto s = sigmoid<T>(d, gate);
    const auto slope = hn::Mul(s, hn::MulAdd(gate, hn::Sub(one, s), one));
    const auto silu = hn::Mul(gate, s);
    store(d, hn::Mul(hn::Mul(gradient, up), slope), gate_up + i, width);
    store(d, hn::Mul(gradient, silu), gate_up + F + i, width);
    store(d, hn::Mul(silu, up), dout + i, width);
  });
}

}  // namespace

void swiglu_forward_row_f32(const float* gate_up, int64_t F, float* out) {
  forward_row(gate_up, F, out);
}
void swiglu_forward_row_bf16(const bf16* gate_up, int64_t F, bf16* out) {
  forward_row(gate_up, F, out);
}
void swiglu_backward_row_f32(float* gate_up, float* dout, int64_t F) {
  backward_row(gate_up, dout, F);
}
void swiglu_backward_row_bf16(bf16* gate_up, bf16* dout, int64_t F) {
  backward_row(gate_up, dout, F);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(swiglu_forward_row_f32);
HWY_EXPORT(swiglu_forward_row_bf16);
HWY_EXPORT(swiglu_backward_row_f32);
HWY_EXPORT(swiglu_backward_row_bf16);

auto forward_row_of(const float*) { return HWY_DYNAMIC_DISPATCH(swiglu_forward_row_f32); }
auto forward_row_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(swiglu_forward_row_bf16); }
auto backward_row_of(const float*) { return HWY_DYNAMIC_DISPATCH(swiglu_backward_row_f32); }
auto backward_row_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(swiglu_backward_row_bf16); }
}  // namespace

template <typename T>
void swiglu_forward(const T* gate_up, int64_t rows, int64_t F, T* out) {
  const auto row_kernel = forward_row_of(gate_up);
  for_each_row(rows, F, [&](int64_t row) { row_kernel(gate_up + row * 2 * F, F, out + row * F); });
}

template <typename T>
void swiglu_backward(T* gate_up, T* dout, int64_t rows, int64_t F) {
  const auto row_kernel = backward_row_of(dout);
  for_each_row(rows, F, [&](int64_t row) { row_kernel(gate_up + row * 2 * F, dout + row * F, F); });
}

template void swiglu_forward(const float*, int64_t, int64_t, float*);
template void swiglu_forward(const bf16*, int64_t, int64_t, bf16*);
template void swiglu_backward(float*, float*, int64_t, int64_t);
template void swiglu_backward(bf16*, bf16*, int64_t, int64_t);

}  // namespace borealis
#endif
