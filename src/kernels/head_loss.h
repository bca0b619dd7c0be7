// Output projection and cross entropy in one, by chunks of tokens, so that the [tokens, V] logits
// never exist as a whole: logits = x W^T (f32), loss = logsumexp(logits) - logits[target] (contract
// section 2.7), and, when training, the gradients of both operands at once.
//   R tokens, D hidden, V vocabulary; x, dx [R, D] T; W [V, D] T; dW [V, D] f32.
#pragma once

#include <cstdint>

#include "kernels/linear.h"

namespace borealis {

struct HeadShape {
  int64_t rows = 0;         // R
  int64_t hidden_size = 0;  // D
  int64_t vocab_size = 0;   // V
};

// Tokens whose logits (in native bf16, their exponentials) are held at a time: 1024, fewer where
// the vocabulary is large.
int64_t head_token_chunk(ProductMode mode, const HeadShape& shape);
// Floats of scratch for forward and backward together: the logits of a chunk, its gradient, and
// what the product mode needs.
int64_t head_scratch_floats(ProductMode mode, const HeadShape& shape,
                            ProductChoice products = ProductChoice::kOwnWhereTheyFit);
// For head_loss_forward and head_logits alone, which hold a block of the vocabulary at a time.
int64_t head_forward_scratch_floats(ProductMode mode, const HeadShape& shape,
                                    ProductChoice products = ProductChoice::kOwnWhereTheyFit);

template <typename T>
struct HeadOperands {
  const T* x = nullptr;
  const T* weight = nullptr;
  const int32_t* targets = nullptr;  // [R]; kNoTarget (cross_entropy.h): not in the loss
};

// Sum over the tokens with a target of the cross entropy, in nats.
template <typename T>
double head_loss_forward(LinearEngine& engine, const HeadShape& shape, const HeadOperands<T>& in,
                         float* scratch);

// The same, and the gradients of scale * (that sum): dx is overwritten, and so is dweight unless
// it shall accumulate.
template <typename T>
double head_loss_forward_backward(LinearEngine& engine, const HeadShape& shape,
                                  const HeadOperands<T>& in, float scale, T* dx, float* dweight,
                                  bool accumulate, float* scratch);

// logits [R, V] f32 of a few rows, for generation and tests.
template <typename T>
void head_logits(LinearEngine& engine, const HeadShape& shape, const T* x, const T* weight,
                 float* logits, float* scratch);

}  // namespace borealis
