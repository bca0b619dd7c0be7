// SwiGLU (Shazeer 2020, "GLU variants improve transformer"): out = silu(gate) * up,
// silu(x) = x / (1 + exp(-x)). T is float or bf16; arithmetic is f32 and the result is rounded
// once.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace borealis {

//   gate_up [rows, 2F]: in each row F gates, then F ups; out [rows, F].
template <typename T>
void swiglu_forward(const T* gate_up, int64_t rows, int64_t F, T* out);

//   gate_up [rows, 2F]: on entry gate and up, on return their gradients; dout [rows, F]: on entry
//   the gradient of out, on return out once more, of the same bits, which a backward pass needs for
//   the product behind it and has not kept.
template <typename T>
void swiglu_backward(T* gate_up, T* dout, int64_t rows, int64_t F);

}  // namespace borealis
