// Where bytes live, and in which order work on them happens (design D12). A device queues work:
// what is asked of it is done in the order of the calls, after they return. The host is a device,
// too, whose work is done when a call returns. A device knows no mathematics; that is
// kernels/backend.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/memory.h"

namespace borealis {

class Device {
 public:
  struct Memory {
    int64_t total_bytes = 0;
    int64_t free_bytes = 0;
  };

  virtual ~Device() = default;

  virtual bool is_host() const = 0;
  virtual std::string name() const = 0;  // "NVIDIA H100 80GB HBM3"; "host"
  // Of the whole device, whoever uses it.
  virtual Memory memory() const = 0;

  // Zeroed, on a multiple of 256 bytes. Throws Error(kMemory) naming `name`. Not of the host, whose
  // memory is a PageBuffer.
  virtual std::byte* allocate(size_t bytes, const std::string& name) = 0;
  virtual void release(std::byte* memory) noexcept = 0;

  // From and to the host's memory. `from` may change once upload() returns; download() returns when
  // everything queued before it, and the copy, are done.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  virtual void clear(void* memory, size_t bytes) = 0;  // zeros
  // Returns when everything queued is done. Throws Error(kDevice) where something of it failed.
  virtual void wait() = 0;

  // A mark between what is queued before and after it, until forget_marks(); what lies between two
  // of them took so long, once wait() has returned.
  virtual int64_t mark() = 0;
  virtual double ms_between(int64_t from, int64_t to) = 0;
  virtual void forget_marks() = 0;
};

Device& host_device();

// Zeroed memory of a device, given back at the end; the device must outlive it.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Device& device, size_t bytes, const std::string& name);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  std::span<std::byte> bytes() const {
    return device_ != nullptr ? bytes_ : std::span(pages_.data(), pages_.size_bytes());
  }

 private:
  PageBuffer pages_;          // of the host
  Device* device_ = nullptr;  // of another
  std::span<std::byte> bytes_;
};

}  // namespace borealis
