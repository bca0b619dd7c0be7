// AdamW (Loshchilov & Hutter 2019, algorithm 2), fused: one read and one write of every buffer.
//   g = gradient * gradient_scale
//   w = w (1 - learning_rate weight_decay)
//   m = m + (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2
//   w = w - learning_rate / bias_correction1 * m / (sqrt(v) / sqrt(bias_correction2) + eps)
// in f32, each constant computed in double and rounded once, in PyTorch's order of operations.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "tensor/row_gradients.h"

namespace borealis {

struct AdamWStep {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-5;
  double weight_decay = 0;      // 0 for exempt parameters
  double bias_correction1 = 1;  // 1 - beta1^t, t = 1 for the first update
  double bias_correction2 = 1;  // 1 - beta2^t
  float gradient_scale = 1;     // clipping and averaging, applied to the gradient on the way in
};

// All buffers [n]; none may overlap. The f32 master weight is weight and remainder together, as
// SplitF32 (base/dtype.h) cuts it: 4 bytes for both copies instead of 6. A NaN becomes the quiet
// one.
void adamw_update(bf16* weight, uint16_t* remainder, float* m, float* v, const float* gradient,
                  int64_t n, const AdamWStep& step);
void adamw_update(float* weight, float* m, float* v, const float* gradient, int64_t n,
                  const AdamWStep& step);

// The state that AdamW keeps of n weights beside them: [n] each, remainder of bf16 weights only.
struct AdamWState {
  uint16_t* remainder = nullptr;
  float* m = nullptr;
  float* v = nullptr;

  AdamWState at(int64_t i) const {
    return {remainder == nullptr ? nullptr : remainder + i, m + i, v + i};
  }
};
// The same bits as adamw_update, but the new state goes to other memory, past the caches, and the
// old one stays as it was. Memory sees as much traffic as of an update in place; a copy made
// beforehand would double it.
void adamw_move(bf16* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
                int64_t n, const AdamWStep& step);
void adamw_move(float* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
                int64_t n, const AdamWStep& step);

// An update where gradient, m and v are all zero, which leaves decay: it touches the weight alone.
// The new remainder goes to `to`, which may be its own place.
void adamw_decay(bf16* weight, const uint16_t* remainder, uint16_t* to, int64_t n,
                 const AdamWStep& step);
void adamw_decay(float* weight, int64_t n, const AdamWStep& step);

// The elements [begin, end) of an embedding whose gradient is kept by rows: rows that have a
// gradient or ever had one are updated, the others, whose moments are zero, only decay. T is bf16
// or float.
template <typename T>
struct AdamWRows {
  int64_t begin = 0, end = 0;        // flat, of [table_rows, row_size]
  T* weight = nullptr;               // of element `begin`, as all below but the bits
  uint16_t* remainder = nullptr;     // bf16 only
  float* m = nullptr;                //
  float* v = nullptr;                //
  AdamWState to = {};                // where the new state goes (adamw_move); none: in place. Its
                                     // moments must be zero where those of a row are
  uint64_t* had_gradient = nullptr;  // [table_rows / 64, rounded up], a bit a row; updated
};
void adamw_update_rows(const AdamWRows<bf16>& rows, const RowGradients& gradient,
                       const AdamWStep& step);
void adamw_update_rows(const AdamWRows<float>& rows, const RowGradients& gradient,
                       const AdamWStep& step);

}  // namespace borealis
