// A CUDA device as a device of ours. Skipped where there is no GPU.
#include "kernels/cuda/cuda_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <vector>

#include "support/expect_error.h"

namespace borealis {
namespace {

using cuda::CudaDevice;

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cudaGetDeviceCount(&devices_) != cudaSuccess || devices_ == 0) {
      GTEST_SKIP() << "no CUDA device";
    }
  }
  int devices_ = 0;
};

TEST_F(CudaDeviceTest, RefusesMoreMemoryThanIsLeft) {
  CudaDevice device;
  const auto total = static_cast<size_t>(device.memory().total_bytes);
  EXPECT_ERROR(device.allocate(total + (size_t{1} << 30), "the weights"), ErrorKind::kMemory,
               "left on " + device.name() + " for the weights are refused by CUDA");
  // And goes on: what was refused is no fault of what follows.
  const DeviceBuffer small(device, 1 << 20, "something smaller");
  const DeviceBuffer large(device, static_cast<size_t>(device.memory().free_bytes / 2), "the rest");
  EXPECT_ERROR(device.allocate(static_cast<size_t>(device.memory().free_bytes) * 2, "too much"),
               ErrorKind::kMemory, "for too much");
  device.wait();
}

// Up to what CUDA itself keeps of what it first does, and another process takes meanwhile.
TEST_F(CudaDeviceTest, MemoryIsZeroedAndGivenBack) {
  constexpr int64_t kOthers = int64_t{8} << 20;
  CudaDevice device;
  { const DeviceBuffer first(device, size_t{1} << 20, "a first buffer"); }
  device.wait();
  const int64_t before = device.memory().free_bytes;
  {
    const DeviceBuffer buffer(device, size_t{64} << 20, "a buffer");
    EXPECT_LE(device.memory().free_bytes, before - (int64_t{64} << 20) + kOthers);
    std::array<std::byte, 4096> end;
    end.fill(std::byte{1});
    device.download(end.data(), buffer.bytes().last(end.size()).data(), end.size());
    for (const std::byte byte : end) ASSERT_EQ(byte, std::byte{0});
  }
  EXPECT_NEAR(static_cast<double>(device.memory().free_bytes), static_cast<double>(before),
              static_cast<double>(kOthers));
}

// In several parts, of which two are on their way at a time.
TEST_F(CudaDeviceTest, WhatIsUploadedMayChangeAtOnce) {
  CudaDevice device;
  for (const size_t count : {size_t{1000}, (size_t{90} << 20) / sizeof(int)}) {
    std::vector<int> values(count), back(count);
    std::iota(values.begin(), values.end(), 7);
    const std::vector<int> given = values;
    const DeviceBuffer buffer(device, count * sizeof(int), "values");
    device.upload(buffer.bytes().data(), values.data(), count * sizeof(int));
    std::ranges::fill(values, -1);
    device.download(back.data(), buffer.bytes().data(), count * sizeof(int));
    EXPECT_TRUE(back == given) << count;
  }
}

TEST_F(CudaDeviceTest, MarksTellWhatLiesBetweenThem) {
  CudaDevice device;
  const DeviceBuffer buffer(device, size_t{32} << 20, "a buffer");
  for (int round = 0; round < 2; ++round) {
    const int64_t begin = device.mark();
    device.clear(buffer.bytes().data(), buffer.bytes().size());
    const int64_t middle = device.mark();
    const int64_t end = device.mark();
    device.wait();
    EXPECT_GT(device.ms_between(begin, middle), 0);
    EXPECT_NEAR(device.ms_between(begin, end),
                device.ms_between(begin, middle) + device.ms_between(middle, end), 1e-2);
    device.forget_marks();
    EXPECT_EQ(device.mark(), begin);
    device.forget_marks();
  }
}

TEST_F(CudaDeviceTest, EachIsKnownByItsOwnId) {
  const std::vector<GpuId> ids = cuda::visible_devices();
  ASSERT_EQ(std::ssize(ids), devices_);
  EXPECT_EQ(std::set<GpuId>(ids.begin(), ids.end()).size(), ids.size());
  EXPECT_EQ(cuda::visible_devices(), ids);
  for (int number = 0; number < devices_; ++number) {
    EXPECT_EQ(CudaDevice(number).number(), number);
  }
  CudaDevice(0).use();
}

}  // namespace
}  // namespace borealis
