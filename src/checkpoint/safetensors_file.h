// Reads a safetensors file (github.com/huggingface/safetensors):
//   u64 n | n bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...} | data
// The file is mapped; views stay valid for the life of the object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/dtype.h"
#include "base/file.h"
#include "checkpoint/safetensors_dtype.h"

namespace borealis {

struct TensorView {
  std::string name;
  StoredDType dtype = StoredDType::kF32;
  std::vector<int64_t> shape;        // row-major; empty for a scalar
  std::span<const std::byte> bytes;  // little-endian, aligned to nothing

  int64_t element_count() const;
};

// What a file says; the tensors' bytes are parts of those that were given.
struct SafetensorsContent {
  std::vector<TensorView> tensors;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};
// `path` is for messages. Throws Error(kData), which says what is wrong, unless the file is valid
// as a whole: the header is JSON with known keys and dtypes, no name appears twice, and the tensors
// fill the rest of the file without a hole or an overlap.
SafetensorsContent parse_safetensors(std::span<const std::byte> bytes,
                                     const std::filesystem::path& path);

class SafetensorsFile {
 public:
  // Throws Error(kFile) if `path` cannot be read, and what parse_safetensors throws.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  std::span<const TensorView> tensors() const { return content_.tensors; }
  const TensorView* find(std::string_view name) const;  // nullptr where absent
  const TensorView& at(std::string_view name) const;    // Error(kData) where absent
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }
  // Where the tensor's bytes start in the file.
  uint64_t offset_of(const TensorView& tensor) const {
    return static_cast<uint64_t>(tensor.bytes.data() - file_.bytes().data());
  }
  // Gives up the pages of a part of a tensor, which can be read again.
  void forget(std::span<const std::byte> part) const {
    file_.forget(static_cast<size_t>(part.data() - file_.bytes().data()), part.size());
  }

 private:
  MappedFile file_;
  SafetensorsContent content_;
  std::unordered_map<std::string, size_t> index_;
};

// Copies a tensor of F32, F16 or BF16 into memory of its element count (CHECKed), converting to the
// type of `out`; to bf16 rounds to nearest even. Throws Error(kData) for any other dtype.
void copy_tensor(const TensorView& tensor, std::span<float> out);
void copy_tensor(const TensorView& tensor, std::span<bf16> out);

}  // namespace borealis
