// The kernels of a step on a CUDA device that are our own. What each computes, with which shapes
// and roundings, is stated in the header of its twin on the CPU; T is float or bf16. Pointers are
// of device memory; calls are queued in the stream and return. Every kernel gives the same bits
// when it runs again on the same card.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/gpu_needs.h"
#include "kernels/ops.h"
#include "kernels/optimizer_ops.h"

namespace borealis::cuda {

template <typename T>
void rms_norm(const RmsNormForward<T>& a, cudaStream_t stream);
template <typename T>
void add_rms_norm(const AddRmsNormForward<T>& a, cudaStream_t stream);
// partials: [gpu_norm_partial_rows(multiprocessors)][D] of f32.
template <typename T>
void rms_norm_backward(const RmsNormBackward<T>& a, float* partials, int multiprocessors,
                       cudaStream_t stream);

// cos, sin [seq_length, C/2]; direction 1 turns forward, -1 back.
struct RopeTableOnDevice {
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t seq_length = 0;
};
template <typename T>
void rope(T* rows, int64_t count, const RopeRows& turned, const RopeTableOnDevice& table,
          int direction, cudaStream_t stream);

template <typename T>
void swiglu(const SwigluForward<T>& a, cudaStream_t stream);
template <typename T>
void swiglu_backward(const SwigluBackward<T>& a, cudaStream_t stream);

template <typename T>
void embedding(const EmbeddingForward<T>& a, cudaStream_t stream);
// Rows with one token are added up in the order of the batch, after a sort by token. workspace: on
// a multiple of 256 bytes.
size_t embedding_backward_workspace_bytes(int64_t rows);
template <typename T>
void embedding_backward(const EmbeddingBackward<T>& a, void* workspace, size_t workspace_bytes,
                        cudaStream_t stream);

template <typename T>
void add(const T* a, const T* b, T* out, int64_t count, cudaStream_t stream);

// logits [rows, V], in place: their gradient, times scale. loss [rows]: the cross entropy of each
// row, 0 without a target.
template <typename T>
void cross_entropy_gradient(T* logits, const int32_t* targets, int64_t rows, int64_t V, float scale,
                            float* loss, cudaStream_t stream);
// The loss alone; the logits stay.
template <typename T>
void cross_entropy(const T* logits, const int32_t* targets, int64_t rows, int64_t V, float* loss,
                   cudaStream_t stream);
// *sum += the values, in f64 and in an order that depends on their number alone.
void add_up(const float* values, int64_t count, double* sum, cudaStream_t stream);

// *sum = x[0]^2 + ..., a tree of blocks as the CPU's (kernels/grad_norm.h), whose blocks are added
// up in another order. partials: [sum_of_squares_partials(count)].
int64_t sum_of_squares_partials(int64_t count);
void sum_of_squares(const float* x, int64_t count, double* partials, double* sum,
                    cudaStream_t stream);
// Of rows [row_size], in this order. partials: [count].
void sum_of_squares_of_rows(const float* matrix, const int32_t* rows, int64_t count,
                            int64_t row_size, double* partials, double* sum, cudaStream_t stream);

template <typename T>
void adamw(const AdamWSpan<T>& a, const AdamWStep& step, cudaStream_t stream);
// Rows of an embedding: place [table rows], 1 + where a row's gradient lies in values, 0 where it
// has none; a row that has none and never had one (had_gradient, a byte a row) decays.
template <typename T>
struct AdamWRowsOnDevice {
  int64_t begin = 0, end = 0, row_size = 0;
  T* weight = nullptr;  // of element `begin`, as the three below
  uint16_t* remainder = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  const uint8_t* had_gradient = nullptr;
  const int32_t* place = nullptr;
  const float* values = nullptr;
};
template <typename T>
void adamw_rows(const AdamWRowsOnDevice<T>& a, const AdamWStep& step, cudaStream_t stream);

// Exact attention, a warp a row, in f32: for what faster ones do not take (f32, odd head sizes).
// Head sizes up to 256.
template <typename T>
void attention(const AttentionForward<T>& a, cudaStream_t stream);
// dots: [B T, H] of f32.
template <typename T>
void attention_backward(const AttentionBackward<T>& a, float* dots, cudaStream_t stream);

// Over a cache of keys and values (kernels/attention.h). lse of the prefix alone.
template <typename T>
void cache_keys_values(const CacheKeysValues<T>& a, cudaStream_t stream);
template <typename T>
void attention_decode(const AttentionDecode<T>& a, cudaStream_t stream);
template <typename T>
void attention_prefix(const AttentionPrefix<T>& a, cudaStream_t stream);

}  // namespace borealis::cuda
