// Memory that is planned before it is had. The code that lays out buffers takes them from an Arena
// one after the other; run on a measuring Arena it only counts, run on a real one it hands out
// memory of exactly that size. So the memory plan and the allocation are the same code (design: the
// plan is the allocator), and a training step allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "base/memory.h"

namespace borealis {

class Arena {
 public:
  static Arena measuring() { return Arena(); }
  Arena(int64_t bytes, const std::string& name)
      : buffer_(static_cast<size_t>(bytes), name), measuring_(false) {}

  // `count` zeroed elements, on a cache line of their own; nullptr while measuring.
  template <typename T>
  T* take(int64_t count) {
    const int64_t offset = used_;
    used_ += (count * static_cast<int64_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
    if (measuring_) return nullptr;
    CHECK(used_ <= static_cast<int64_t>(buffer_.size_bytes()), "arena smaller than its plan");
    return reinterpret_cast<T*>(buffer_.data() + offset);
  }

  int64_t used_bytes() const { return used_; }
  std::span<std::byte> memory() const { return {buffer_.data(), buffer_.size_bytes()}; }
  bool is_measuring() const { return measuring_; }

 private:
  Arena() = default;
  static constexpr int64_t kAlignment = 64;

  PageBuffer buffer_;
  int64_t used_ = 0;
  bool measuring_ = true;
};

}  // namespace borealis
