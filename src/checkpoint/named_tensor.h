// A tensor in memory under its Hugging Face name; what the rest of the program hands to and takes
// from checkpoint/, which knows no architectures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace borealis {

struct NamedTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // row-major
  const void* data = nullptr;  // the caller's, of as many elements as the shape says
};

}  // namespace borealis
