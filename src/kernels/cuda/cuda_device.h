// A CUDA device as a device of ours: one stream, in which everything is queued.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "device/device.h"
#include "kernels/cuda/marks.h"
#include "kernels/gpu_shares.h"

namespace borealis::cuda {

// Those that CUDA_VISIBLE_DEVICES leaves, by their UUIDs, of which a part of a device has one, too.
// Throws Error(kDevice).
std::vector<GpuId> visible_devices();

class CudaDevice : public Device {
 public:
  // number: among those that CUDA_VISIBLE_DEVICES leaves (CHECK). Throws Error(kDevice) where there
  // is none.
  explicit CudaDevice(int64_t number = 0);
  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  bool is_host() const override { return false; }
  std::string name() const override { return name_; }
  Memory memory() const override;
  std::byte* allocate(size_t bytes, const std::string& name) override;
  void release(std::byte* memory) noexcept override;
  void upload(void* to, const void* from, size_t bytes) override;
  void download(void* to, const void* from, size_t bytes) override;
  void clear(void* memory, size_t bytes) override;
  void wait() override;
  int64_t mark() override { return marks_.mark(stream_); }
  double ms_between(int64_t from, int64_t to) override { return marks_.ms_between(from, to); }
  void forget_marks() override { marks_.forget(); }

  // Has the calling thread work on this device: CUDA's own choice, in a new thread, is the first.
  void use() const;
  int number() const { return number_; }  // CUDA's
  cudaStream_t stream() const { return stream_; }
  int multiprocessors() const { return multiprocessors_; }

 private:
  int number_ = 0;
  cudaStream_t stream_ = nullptr;
  // Memory that the device reads by itself, from which large pieces are uploaded in turn.
  struct Staging {
    std::byte* memory = nullptr;
    cudaEvent_t read = nullptr;
  };
  std::array<Staging, 2> staging_;
  size_t next_staging_ = 0;
  std::string name_;
  int multiprocessors_ = 0;
  Marks marks_;
};

}  // namespace borealis::cuda
