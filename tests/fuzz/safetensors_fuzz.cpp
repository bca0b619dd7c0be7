// Any bytes as a safetensors file. What is read must fill the file to its last byte, and every
// tensor of a weight's dtype must convert.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/safetensors_file.h"

namespace borealis {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 16;

// The first elements of the tensor, in the type of `T`.
template <typename T>
void convert(TensorView tensor) {
  const int64_t count = std::min(tensor.element_count(), kMostElements);
  tensor.shape = {count};
  std::vector<T> values(static_cast<size_t>(count));
  try {
    copy_tensor(tensor, values);
  } catch (const Error&) {
    CHECK(tensor.dtype != StoredDType::kF32 && tensor.dtype != StoredDType::kBF16 &&
          tensor.dtype != StoredDType::kF16);
  }
}

void read(std::span<const std::byte> bytes) {
  try {
    const SafetensorsContent content = parse_safetensors(bytes, "fuzz.safetensors");
    size_t held = 0;
    for (const TensorView& tensor : content.tensors) {
      const auto elements = static_cast<size_t>(tensor.element_count());
      CHECK(tensor.bytes.size() == elements * stored_dtype_bytes(tensor.dtype));
      held += tensor.bytes.size();
      CHECK(tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size());
      convert<float>(tensor);
      convert<bf16>(tensor);
    }
    CHECK(held <= bytes.size());
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::read(std::as_bytes(std::span(data, size)));
  return 0;
}
