// Elements back to back at an address that need not be aligned for them, as in an .idx file, whose
// arrays start at byte 34. A view: the bytes belong to somebody else.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"

namespace borealis {

static_assert(std::endian::native == std::endian::little, "Megatron files are little-endian");

template <typename T>
class PackedArray {
 public:
  PackedArray() = default;
  PackedArray(const std::byte* data, int64_t size) : data_(data), size_(size) {}
  explicit PackedArray(std::span<const T> values)
      : data_(reinterpret_cast<const std::byte*>(values.data())),
        size_(static_cast<int64_t>(values.size())) {}

  int64_t size() const { return size_; }
  T operator[](int64_t index) const {
    T value;
    std::memcpy(&value, data_ + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  }
  void prefetch(int64_t index) const {
    __builtin_prefetch(data_ + index * static_cast<int64_t>(sizeof(T)));
  }

 private:
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace borealis
