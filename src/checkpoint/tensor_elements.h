// The elements of a stored tensor as f32, in parts, wherever they are stored: what conversion,
// comparison and checks read, in bounded memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_folder.h"
#include "checkpoint/safetensors_dtype.h"

namespace borealis {

struct TensorElements {
  std::string name;
  StoredDType dtype = StoredDType::kF32;  // as stored
  std::vector<int64_t> shape;
  // Elements begin, begin + 1, ... in row-major order.
  std::function<void(int64_t begin, std::span<float> out)> read;

  int64_t element_count() const;
};

// Of a tensor that is there (CHECKed); refers to `weights`.
TensorElements elements_of(const ModelWeights& weights, std::string_view name);

inline constexpr int64_t kElementsAtATime = int64_t{1} << 20;

// All elements from the first to `end`, in parts of at most kElementsAtATime, of which `part` sees
// where they begin.
void for_each_part(const TensorElements& tensor, int64_t end,
                   const std::function<void(int64_t begin, std::span<const float> part)>& part);

}  // namespace borealis
