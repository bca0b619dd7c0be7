#include "kernels/cuda/cuda_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "kernels/cuda/launch.h"

namespace borealis::cuda {
namespace {

constexpr size_t kStagingBytes = size_t{32} << 20;

int count_devices() {
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || devices == 0) {
    throw Error(ErrorKind::kDevice,
                fmt::format("no CUDA device can be used: {}",
                            found == cudaSuccess ? "there is none" : cudaGetErrorString(found)),
                "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or run with DEVICE=cpu");
  }
  return devices;
}

cudaDeviceProp properties_of(int number) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, number), "looking at the device");
  return properties;
}

}  // namespace

std::vector<GpuId> visible_devices() {
  std::vector<GpuId> ids;
  const int devices = count_devices();
  for (int number = 0; number < devices; ++number) {
    const cudaUUID_t uuid = properties_of(number).uuid;
    GpuId& id = ids.emplace_back();
    for (const char byte : uuid.bytes) id += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  }
  return ids;
}

CudaDevice::CudaDevice(int64_t number) : number_(static_cast<int>(number)) {
  CHECK(number < count_devices());
  use();
  const cudaDeviceProp properties = properties_of(number_);
  name_ = properties.name;
  multiprocessors_ = properties.multiProcessorCount;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
}

void CudaDevice::use() const { check(cudaSetDevice(number_), "choosing the device"); }

CudaDevice::~CudaDevice() {
  for (const Staging& staging : staging_) {
    if (staging.read != nullptr) cudaEventDestroy(staging.read);
    if (staging.memory != nullptr) cudaFreeHost(staging.memory);
  }
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

Device::Memory CudaDevice::memory() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "looking at the device's memory");
  return {static_cast<int64_t>(total), static_cast<int64_t>(free)};
}

std::byte* CudaDevice::allocate(size_t bytes, const std::string& name) {
  void* memory = nullptr;
  const cudaError_t code = cudaMalloc(&memory, bytes);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is told here
    throw Error(ErrorKind::kMemory,
                fmt::format("{} of the {} left on {} for {} are refused by CUDA",
                            format_bytes(static_cast<int64_t>(bytes)),
                            format_bytes(this->memory().free_bytes), name_, name),
                "something else uses the device: nvidia-smi tells what");
  }
  check(code, "allocating");
  check(cudaMemsetAsync(memory, 0, bytes, stream_), "clearing");
  return static_cast<std::byte*>(memory);
}

void CudaDevice::release(std::byte* memory) noexcept { cudaFree(memory); }

// Of 64 KiB that are not pinned CUDA makes a copy of its own before it returns; for more it may
// wait until all that was queued is done, and copies by one thread.
void CudaDevice::upload(void* to, const void* from, size_t bytes) {
  constexpr size_t kSmall = size_t{1} << 16, kPart = size_t{1} << 18;
  if (bytes <= kSmall) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "uploading");
    return;
  }
  for (size_t at = 0; at < bytes; at += kStagingBytes) {
    Staging& staging = staging_[next_staging_];
    next_staging_ = (next_staging_ + 1) % staging_.size();
    if (staging.memory == nullptr) {
      void* memory = nullptr;
      check(cudaMallocHost(&memory, kStagingBytes), "allocating memory to upload from");
      staging.memory = static_cast<std::byte*>(memory);
      check(cudaEventCreateWithFlags(&staging.read, cudaEventDisableTiming), "making an event");
    }
    check(cudaEventSynchronize(staging.read), "uploading");
    const size_t block = std::min(kStagingBytes, bytes - at);
    const std::byte* source = static_cast<const std::byte*>(from) + at;
#pragma omp parallel for
    for (size_t part = 0; part < block; part += kPart) {
      std::memcpy(staging.memory + part, source + part, std::min(kPart, block - part));
    }
    check(cudaMemcpyAsync(static_cast<std::byte*>(to) + at, staging.memory, block,
                          cudaMemcpyHostToDevice, stream_),
          "uploading");
    check(cudaEventRecord(staging.read, stream_), "uploading");
  }
}

void CudaDevice::download(void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "downloading");
  wait();
}

void CudaDevice::clear(void* memory, size_t bytes) {
  check(cudaMemsetAsync(memory, 0, bytes, stream_), "clearing");
}

void CudaDevice::wait() { check(cudaStreamSynchronize(stream_), "working"); }

}  // namespace borealis::cuda
