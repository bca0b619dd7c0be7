// Values on the GPU, with a guard behind them.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/cuda/launch.h"

namespace borealis::testing {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    cuda::check(cudaMalloc(&data_, bytes() + kGuardBytes), "allocating");
    cuda::check(cudaMemset(data_, kGuard, bytes() + kGuardBytes), "clearing");
    cuda::check(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice), "uploading");
    // A copy may return before it is done, and streams of ours do not wait for CUDA's own.
    cuda::check(cudaDeviceSynchronize(), "uploading");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return static_cast<T*>(data_); }
  operator T*() const { return data(); }
  // Waits for everything before it. What lies behind the values must be as it was.
  std::vector<T> values() const {
    std::vector<T> values(size_);
    std::vector<unsigned char> guard(kGuardBytes);
    const auto* end = static_cast<const unsigned char*>(data_) + bytes();
    cuda::check(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost), "reading");
    cuda::check(cudaMemcpy(guard.data(), end, kGuardBytes, cudaMemcpyDeviceToHost), "reading");
    for (const unsigned char byte : guard) EXPECT_EQ(byte, kGuard) << "written behind the end";
    return values;
  }

 private:
  static constexpr size_t kGuardBytes = 256;
  static constexpr unsigned char kGuard = 0xff;  // NaN in every type
  size_t bytes() const { return size_ * sizeof(T); }

  size_t size_;
  void* data_ = nullptr;
};

}  // namespace borealis::testing
