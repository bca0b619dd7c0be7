// What a backend implements: every operation of a decoder's pass, forward and backward, one virtual
// call a kernel. Pointers are of the backend's own memory, T is float or bf16; what an operation
// computes, its shapes and its roundings are stated in the kernel's own header, which the comment
// before it names. Matrices are row-major and dense.
//   R rows (tokens), D hidden, F intermediate.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/attention.h"
#include "kernels/head_loss.h"
#include "kernels/linear.h"

namespace borealis {

// kernels/embedding.h
template <typename T>
struct EmbeddingForward {
  const int32_t* tokens = nullptr;  // [R]
  const T* weight = nullptr;        // [V, D]
  int64_t rows = 0, columns = 0;    // R, D
  T* out = nullptr;                 // [R, D]
};
template <typename T>
struct EmbeddingBackward {
  const int32_t* tokens = nullptr;  // [R], or the places of their rows in dweight
  const T* dout = nullptr;          // [R, D]
  int64_t rows = 0, columns = 0;    // R, D
  float* dweight = nullptr;         // added to
};

// kernels/rms_norm.h
template <typename T>
struct RmsNormForward {
  const T* x = nullptr;       // [R, D]
  const T* weight = nullptr;  // [D]
  float eps = 0;
  int64_t rows = 0, columns = 0;  // R, D
  T* y = nullptr;                 // [R, D]; may be x
  float* inv_rms = nullptr;       // [R], or null
};
// Of sum = x + delta.
template <typename T>
struct AddRmsNormForward {
  RmsNormForward<T> norm;
  const T* delta = nullptr;  // [R, D]
  T* sum = nullptr;          // [R, D]; may be x or delta
};
template <typename T>
struct RmsNormBackward {
  const T* dy = nullptr;           // [R, D]
  const T* x = nullptr;            // [R, D]
  const T* weight = nullptr;       // [D]
  const float* inv_rms = nullptr;  // [R]
  int64_t rows = 0, columns = 0;   // R, D
  T* dx = nullptr;                 // [R, D]; added to
  float* dweight = nullptr;        // [D]; added to
  T* normed = nullptr;             // [R, D], or null: the forward pass' y once more
};

// kernels/linear.h
template <typename T>
struct LinearForward {
  LinearShape shape;
  const T* x = nullptr;       // [M, K]
  const T* weight = nullptr;  // [N, K]
  T* y = nullptr;             // [M, N]
};
template <typename T>
struct LinearBackwardWeight {
  LinearShape shape;
  const T* dy = nullptr;     // [M, N]
  const T* x = nullptr;      // [M, K]
  float* dweight = nullptr;  // [N, K]
  bool accumulate = false;
};
template <typename T>
struct LinearBackwardInput {
  LinearShape shape;
  const T* dy = nullptr;      // [M, N]
  const T* weight = nullptr;  // [N, K]
  T* dx = nullptr;            // [M, K]
};

// kernels/rope.h, by the table that the backend was made with.
struct RopeRows {
  int64_t row_stride = 0;              // elements
  int64_t heads = 0;                   // the first of a row, that are turned
  int64_t head_dim = 0;                //
  const int32_t* positions = nullptr;  // [R], or null: those of the table, over and over
};
template <typename T>
struct RopeBackward {
  RopeRows turned;
  int64_t rows = 0;
  T* dqk = nullptr;  // [R, row_stride]
};

// kernels/attention.h
template <typename T>
struct AttentionForward {
  AttentionShape shape;
  const T* qkv = nullptr;                    // [B T, (H + 2K) C]
  const int32_t* document_starts = nullptr;  // [B, T], or null
  T* out = nullptr;                          // [B T, H C]
  float* lse = nullptr;                      // [B, H, T]
};
template <typename T>
struct AttentionBackward {
  AttentionShape shape;
  const T* qkv = nullptr;                    // as in the forward pass
  const T* out = nullptr;                    //
  const float* lse = nullptr;                //
  const int32_t* document_starts = nullptr;  //
  const T* dout = nullptr;                   // [B T, H C]
  T* dqkv = nullptr;                         // [B T, (H + 2K) C]
};
// Tokens `first` to T - 1 of a text of T.
template <typename T>
struct AttentionPrefix {
  AttentionShape shape;
  int64_t first = 0;
  const T* qkv = nullptr;  // [T - first, (H + 2K) C]
  int32_t sequence = 0;
  KeyValueCache<T> cache;
  T* out = nullptr;      // [T - first, H C]
  float* lse = nullptr;  // [H, T - first]
};
template <typename T>
struct CacheKeysValues {
  AttentionShape shape;
  const T* qkv = nullptr;  // [rows.count, (H + 2K) C]
  CacheRows rows;
  KeyValueCache<T> cache;
};
template <typename T>
struct AttentionDecode {
  AttentionShape shape;
  const T* qkv = nullptr;  // [rows.count, (H + 2K) C]
  CacheRows rows;
  KeyValueCache<T> cache;
  T* out = nullptr;  // [rows.count, H C]
};

// kernels/swiglu.h
template <typename T>
struct SwigluForward {
  const T* gate_up = nullptr;     // [R, 2F]
  int64_t rows = 0, columns = 0;  // R, F
  T* out = nullptr;               // [R, F]
};
template <typename T>
struct SwigluBackward {
  T* gate_up = nullptr;           // [R, 2F]; their gradients on return
  T* dout = nullptr;              // [R, F]; out once more on return
  int64_t rows = 0, columns = 0;  // R, F
};

// kernels/head_loss.h
template <typename T>
struct HeadLossForward {
  HeadShape shape;
  HeadOperands<T> in;
};
template <typename T>
struct HeadLossBackward {
  HeadShape shape;
  HeadOperands<T> in;
  float scale = 1;           // of the loss whose gradients these are
  T* dx = nullptr;           // [R, D]
  float* dweight = nullptr;  // [V, D]
  bool accumulate = false;   // in dweight
};
template <typename T>
struct HeadLogits {
  HeadShape shape;
  const T* x = nullptr;       // [R, D]
  const T* weight = nullptr;  // [V, D]
  float* logits = nullptr;    // [R, V]
};

template <typename T>
class Ops {
 public:
  virtual ~Ops() = default;

  virtual void embedding(const EmbeddingForward<T>& a) = 0;
  virtual void embedding_backward(const EmbeddingBackward<T>& a) = 0;

  virtual void rms_norm(const RmsNormForward<T>& a) = 0;
  virtual void add_rms_norm(const AddRmsNormForward<T>& a) = 0;
  virtual void rms_norm_backward(const RmsNormBackward<T>& a) = 0;

  virtual void linear(const LinearForward<T>& a) = 0;
  // And the rows of y turned to their positions.
  virtual void linear_with_rope(const LinearForward<T>& a, const RopeRows& turned) = 0;
  virtual void linear_backward_weight(const LinearBackwardWeight<T>& a) = 0;
  virtual void linear_backward_input(const LinearBackwardInput<T>& a) = 0;
  virtual void rope_backward(const RopeBackward<T>& a) = 0;

  // Tokens of each document of the batch whose attention follows, in order, where sequences hold
  // several; empty: each is one. Of what document_starts says, for backends that look ahead.
  virtual void set_documents(std::span<const int32_t>) {}
  virtual void attention(const AttentionForward<T>& a) = 0;
  virtual void attention_backward(const AttentionBackward<T>& a) = 0;
  virtual void attention_prefix(const AttentionPrefix<T>& a) = 0;
  virtual void cache_keys_values(const CacheKeysValues<T>& a) = 0;
  virtual void attention_decode(const AttentionDecode<T>& a) = 0;

  virtual void swiglu(const SwigluForward<T>& a) = 0;
  virtual void swiglu_backward(const SwigluBackward<T>& a) = 0;

  // The sum of the losses, in nats.
  virtual double head_loss(const HeadLossForward<T>& a) = 0;
  virtual double head_loss_backward(const HeadLossBackward<T>& a) = 0;
  virtual void head_logits(const HeadLogits<T>& a) = 0;

  // kernels/elementwise.h, on `count` elements.
  virtual void add(const T* a, const T* b, T* out, int64_t count) = 0;
  virtual void copy(const T* from, T* to, int64_t count) = 0;
  virtual void clear(T* values, int64_t count) = 0;
  virtual void clear_gradient(float* gradient, int64_t count) = 0;
};

}  // namespace borealis
