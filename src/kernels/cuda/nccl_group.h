// NCCL as the group of ranks' devices (kernels/device_group.h), in a stream of its own beside the
// device's.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/nccl_library.h"
#include "kernels/device_group.h"

namespace borealis::cuda {

class NcclGroup : public DeviceGroup {
 public:
  // id: of make_id() on one of the ranks. waits: of this and of the calls that wait. Collective.
  // Throws Error(kRanks) where NCCL cannot join the devices, or ranks do not come. The library,
  // which what is left of joining goes on using, and the device must outlive this.
  NcclGroup(const NcclLibrary& library, const NcclId& id, int64_t rank, int64_t ranks,
            GroupWaits waits, const CudaDevice& device);
  ~NcclGroup() override;
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  static NcclId make_id(const NcclLibrary& library);

  void follow_device() override;
  void wait() override;
  void wait_for(int64_t mark) override;
  void exchange(std::span<const std::span<const std::byte>> to,
                std::span<const std::span<std::byte>> from) override;
  void add_up(const SumOfRanks<float>& a) override;
  void add_up(const SumOfRanks<bf16>& a) override;
  void round(const float* from, bf16* to, int64_t count) override;
  void widen(const bf16* from, float* to, int64_t count) override;
  void pack_rows(const float* table, std::span<const int32_t> places, int32_t* places_there,
                 int64_t width, float* packed) override;
  void unpack_rows(const float* packed, std::span<const int32_t> places, int32_t* places_there,
                   int64_t width, float* table) override;
  void clear(float* values, int64_t count) override;
  void copy(const std::byte* from, std::byte* to, size_t bytes) override;
  int64_t mark() override;
  double ms_between(int64_t from, int64_t to) override;
  void forget_marks() override { marks_.forget(); }

 private:
  struct Joining;
  // Of no devices yet: where joining them fails this is destroyed as a whole.
  NcclGroup(const NcclLibrary& library, int64_t rank, int64_t ranks, GroupWaits waits,
            const CudaDevice& device);
  void join(const NcclId& id);
  void abort();
  [[noreturn]] void give_up(const char* why);
  void wait_until(const std::function<bool()>& is_done);
  void poll_until(const std::function<bool()>& is_done);
  void upload(std::span<const int32_t> from, int32_t* to);

  const NcclLibrary& library_;
  const CudaDevice& device_;
  int64_t rank_, ranks_;
  GroupWaits waits_;
  NcclComm* comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t device_is_so_far_ = nullptr;
  // Memory that the device reads by itself, from which places are uploaded in turn.
  struct Staging {
    int32_t* places = nullptr;
    cudaEvent_t read = nullptr;
  };
  std::array<Staging, 2> staging_;
  size_t next_staging_ = 0;
  Marks marks_;
};

}  // namespace borealis::cuda
