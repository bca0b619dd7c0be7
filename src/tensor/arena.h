// Memory that is planned before it is had. The code that lays out buffers takes them from an Arena
// one after the other; run on a measuring Arena it only counts, run on a real one it hands out
// memory of exactly that size. So the memory plan and the allocation are the same code (design: the
// plan is the allocator), and a training step allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "base/rounding.h"
#include "device/device.h"

namespace borealis {

class Arena {
 public:
  static Arena measuring() { return Arena(); }
  // Of the device's memory, which must outlive this; without one of the host's.
  Arena(int64_t bytes, const std::string& name, Device& device = host_device())
      : buffer_(device, static_cast<size_t>(bytes), name),
        memory_(buffer_.bytes()),
        measuring_(false) {}
  // In memory of the caller's, on a cache line, which must outlive this.
  explicit Arena(std::span<std::byte> memory) : memory_(memory), measuring_(false) {}

  // `count` elements on a cache line of their own: zeroed, but for memory of the caller's, which is
  // as it was; nullptr while measuring.
  template <typename T>
  T* take(int64_t count) {
    const int64_t offset = used_;
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), kAlignment);
    if (measuring_) return nullptr;
    CHECK(used_ <= static_cast<int64_t>(memory_.size()), "arena smaller than its plan");
    return reinterpret_cast<T*>(memory_.data() + offset);
  }

  // What is taken next begins on a multiple of it, of the arena's memory.
  void align(int64_t bytes) { used_ = round_up(used_, bytes); }

  int64_t used_bytes() const { return used_; }
  std::span<std::byte> memory() const { return memory_; }

 private:
  Arena() = default;
  static constexpr int64_t kAlignment = 64;

  DeviceBuffer buffer_;  // empty: the caller's memory
  std::span<std::byte> memory_;
  int64_t used_ = 0;
  bool measuring_ = true;
};

}  // namespace borealis
