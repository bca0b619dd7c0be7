// What a device does of sums over ranks (kernels/device_group.h), queued in the stream.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/device_group.h"

namespace borealis::cuda {

template <typename T>
void sum_of_ranks(const SumOfRanks<T>& a, cudaStream_t stream);
template <typename From, typename To>
void convert(const From* from, To* to, int64_t count, cudaStream_t stream);
// packed [rows][width] = rows places[0], places[1], ... of table, or the other way round.
void pack_rows(const float* table, const int32_t* places, int64_t rows, int64_t width,
               float* packed, cudaStream_t stream);
void unpack_rows(const float* packed, const int32_t* places, int64_t rows, int64_t width,
                 float* table, cudaStream_t stream);

}  // namespace borealis::cuda
