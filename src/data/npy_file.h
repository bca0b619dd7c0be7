// NumPy's .npy files of one array: "\x93NUMPY", u8 major, u8 minor version, the header's length
// (u16 in version 1, u32 in 2 and 3), the header (a Python dictionary with 'descr',
// 'fortran_order' and 'shape', padded to a multiple of 64 bytes), then the elements.
// Little-endian, C order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "data/packed_array.h"

namespace borealis {

struct NpyHeader {
  std::string descr;  // "<i4", "<u4", "<i8", ...
  bool fortran_order = false;
  std::vector<int64_t> shape;
  size_t data_offset = 0;

  int64_t elements() const;    // product of the shape
  int64_t item_bytes() const;  // by `descr`
};

// Reads the header and checks that exactly the elements that it announces follow. Throws
// Error(kData) with `name` and what is wrong.
NpyHeader parse_npy(std::span<const std::byte> bytes, const std::string& name);

// The bytes that numpy.save puts before the elements.
std::string npy_header(std::string_view descr, std::span<const int64_t> shape);

// The file of a cached index or order: its stem, then what is in it.
inline std::filesystem::path with_suffix(const std::filesystem::path& stem, const char* suffix) {
  return stem.string() + suffix;
}

// A .npy file mapped read-only.
class NpyFile {
 public:
  // Throws Error(kFile) if it cannot be read, Error(kData) if it is no .npy file, is damaged, or is
  // not of this dtype and shape.
  NpyFile(const std::filesystem::path& path, std::string_view descr,
          std::span<const int64_t> shape);

  const std::byte* data() const { return file_.bytes().data() + header_.data_offset; }
  // The elements, taken together as T (a row of the array, say).
  template <typename T>
  PackedArray<T> elements() const {
    const auto bytes = header_.elements() * header_.item_bytes();
    return PackedArray<T>(data(), bytes / static_cast<int64_t>(sizeof(T)));
  }
  void forget_pages() const { file_.forget(0, file_.bytes().size()); }

 private:
  MappedFile file_;
  NpyHeader header_;
};

}  // namespace borealis
