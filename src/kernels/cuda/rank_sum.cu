#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rank_sum.h"

namespace borealis::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 4;  // elements that one thread moves: 16 bytes of f32

__device__ inline int64_t index_in_grid() { return blockIdx.x * int64_t{blockDim.x} + threadIdx.x; }

template <typename T, int kCount>
__global__ void sum_of_ranks_kernel(SumOfRanks<T> a, int64_t vectors) {
  const int64_t i = index_in_grid();
  if (i >= vectors) return;
  float sums[kCount] = {};
  for (int64_t rank = 0; rank < a.ranks; ++rank) {
    const T* values = rank == a.own_rank ? a.own : a.received + rank * a.stride;
    const auto some = Vector<T, kCount>::load(values + i * kCount);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sums[k] += some[k];
  }
  Vector<float, kCount> sum;
  Vector<T, kCount> travels;
  if (a.adds) sum = Vector<float, kCount>::load(a.sum + i * kCount);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    travels.set(k, sums[k]);
    sum.set(k, a.adds ? travels[k] + sum[k] : travels[k]);
  }
  sum.store(a.sum + i * kCount);
  if (a.rounded != nullptr) travels.store(a.rounded + i * kCount);
}

template <typename From, typename To, int kCount>
__global__ void convert_kernel(const From* from, To* to, int64_t vectors) {
  const int64_t i = index_in_grid();
  if (i >= vectors) return;
  const auto some = Vector<From, kCount>::load(from + i * kCount);
  Vector<To, kCount> out;
#pragma unroll
  for (int k = 0; k < kCount; ++k) out.set(k, some[k]);
  out.store(to + i * kCount);
}

// kToTable: from packed rows into the table.
template <bool kToTable, int kCount>
__global__ void move_rows_kernel(const float* from, const int32_t* places, int64_t vectors,
                                 int64_t vectors_of_row, float* to) {
  const int64_t i = index_in_grid();
  if (i >= vectors) return;
  const int64_t row = i / vectors_of_row;
  const int64_t in_table = (places[row] * vectors_of_row + i % vectors_of_row) * kCount;
  const int64_t packed = i * kCount;
  Vector<float, kCount>::load(from + (kToTable ? packed : in_table))
      .store(to + (kToTable ? in_table : packed));
}

template <bool kToTable>
void move_rows(const float* from, const int32_t* places, int64_t rows, int64_t width, float* to,
               cudaStream_t stream) {
  if (rows == 0) return;
  if (width % kVector == 0 && holds_vectors<kVector>(from) && holds_vectors<kVector>(to)) {
    const int64_t vectors = width / kVector;
    launch("rows between ranks", move_rows_kernel<kToTable, kVector>,
           blocks_for(rows * vectors, kThreads), kThreads, stream, from, places, rows * vectors,
           vectors, to);
  } else {
    launch("rows between ranks", move_rows_kernel<kToTable, 1>, blocks_for(rows * width, kThreads),
           kThreads, stream, from, places, rows * width, width, to);
  }
}

}  // namespace

template <typename T>
void sum_of_ranks(const SumOfRanks<T>& a, cudaStream_t stream) {
  const bool wide = holds_vectors<kVector>(a.received) && a.stride % kVector == 0 &&
                    holds_vectors<kVector>(a.own) && holds_vectors<kVector>(a.sum) &&
                    holds_vectors<kVector>(a.rounded);
  const int64_t vectors = wide ? a.count / kVector : 0, done = vectors * kVector;
  if (vectors > 0) {
    launch("sum over ranks", sum_of_ranks_kernel<T, kVector>, blocks_for(vectors, kThreads),
           kThreads, stream, a, vectors);
  }
  if (done == a.count) return;
  SumOfRanks<T> rest = a;
  rest.received += done;
  rest.own += done;
  rest.sum += done;
  if (rest.rounded != nullptr) rest.rounded += done;
  launch("sum over ranks", sum_of_ranks_kernel<T, 1>, blocks_for(a.count - done, kThreads),
         kThreads, stream, rest, a.count - done);
}
template void sum_of_ranks(const SumOfRanks<float>&, cudaStream_t);
template void sum_of_ranks(const SumOfRanks<bf16>&, cudaStream_t);

template <typename From, typename To>
void convert(const From* from, To* to, int64_t count, cudaStream_t stream) {
  const bool wide = holds_vectors<kVector>(from) && holds_vectors<kVector>(to);
  const int64_t vectors = wide ? count / kVector : 0, done = vectors * kVector;
  if (vectors > 0) {
    launch("conversion", convert_kernel<From, To, kVector>, blocks_for(vectors, kThreads), kThreads,
           stream, from, to, vectors);
  }
  if (done == count) return;
  launch("conversion", convert_kernel<From, To, 1>, blocks_for(count - done, kThreads), kThreads,
         stream, from + done, to + done, count - done);
}
template void convert(const float*, bf16*, int64_t, cudaStream_t);
template void convert(const bf16*, float*, int64_t, cudaStream_t);

void pack_rows(const float* table, const int32_t* places, int64_t rows, int64_t width,
               float* packed, cudaStream_t stream) {
  move_rows<false>(table, places, rows, width, packed, stream);
}
void unpack_rows(const float* packed, const int32_t* places, int64_t rows, int64_t width,
                 float* table, cudaStream_t stream) {
  move_rows<true>(packed, places, rows, width, table, stream);
}

}  // namespace borealis::cuda
