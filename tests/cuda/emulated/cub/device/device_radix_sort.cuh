// CUB's stable sort by key, as far as kernels/cuda/embedding.cu uses it.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "cuda/emulated/stream.h"

namespace cub {

struct DeviceRadixSort {
  template <typename Key, typename Value>
  static cudaError_t SortPairs(void*, size_t& bytes, const Key* keys, Key* sorted_keys,
                               const Value* values, Value* sorted_values, int count, int, int,
                               cudaStream_t stream) {
    const auto size = static_cast<size_t>(count);
    if (bytes < size * (sizeof(Key) + sizeof(Value))) return cudaErrorInvalidValue;
    borealis::emulated::queue(stream, [=] {
      std::vector<size_t> order(size);
      std::iota(order.begin(), order.end(), size_t{0});
      std::ranges::stable_sort(order, {}, [keys](size_t i) { return keys[i]; });
      for (size_t i = 0; i < size; ++i) {
        sorted_keys[i] = keys[order[i]];
        sorted_values[i] = values[order[i]];
      }
    });
    return cudaSuccess;
  }
};

}  // namespace cub
